//! What HTTP goes over to one endpoint: connections of HTTP/1.1 and of HTTP/2.

use std::sync::Arc;

use super::multiplexed::Multiplexed;
use super::pool::Pool;
use super::settings::PoolConfig;
use crate::tls::outbound::Client;
use crate::upstream::endpoints::address::Address;
use crate::upstream::endpoints::transport::Transport;

/// The connections to an endpoint that speaks HTTP.
pub struct Http {
    pub pool: Arc<Pool>,
    pub multiplexed: Multiplexed,
}

impl Http {
    /// Closes the connections of this worker that were idle for too long, are too old, or were made under other terms.
    pub fn sweep(&self, limits: &PoolConfig, client: Option<&Arc<Client>>) {
        self.pool.sweep(limits, client);
        self.multiplexed.sweep(limits, client);
    }
}

impl Transport for Http {
    fn new(address: &Address) -> Self {
        Http {
            pool: Arc::new(Pool::new(address.clone())),
            multiplexed: Multiplexed::new(address.clone()),
        }
    }

    fn connections(&self) -> (usize, usize) {
        let (open, idle) = self.pool.counts();
        let (open2, idle2) = self.multiplexed.counts();
        (open + open2, idle + idle2)
    }

    fn close(&self) {
        self.pool.close();
        self.multiplexed.close();
    }
}
