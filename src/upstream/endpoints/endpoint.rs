//! One address of an upstream, and the facts that all workers share about it.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::time::Instant;

use super::address::Address;
use super::transport::Transport;
use crate::http::rendezvous;
use crate::trace::Attributes;
use crate::upstream::balance::load::Load;
use crate::upstream::health::checks::Health;
use crate::upstream::health::last_error::LastError;
use crate::upstream::health::standing::Standing;
use crate::upstream::traffic::Traffic;

/// One address of an upstream. It is the same, with all its facts, as long as some list names it. What goes over its
/// transport is not its concern.
pub struct Endpoint<T> {
    pub address: Address,
    /// As it was configured, `host:port`: what `Host` says when a route rewrites it to the upstream's.
    pub name: Arc<str>,
    /// Its address, as people read it.
    pub shown: Arc<str>,
    pub transport: T,
    pub load: Load,
    pub traffic: Traffic,
    pub standing: Standing,
    pub health: Health,
    pub last_error: LastError,
    /// What the span of an attempt says of it, since there was one.
    pub described: OnceLock<Box<Attributes>>,
    /// The same for the same endpoint in every process.
    pub hash: u64,
    /// Number of lists that name it.
    listed: AtomicUsize,
}

impl<T: Transport> Endpoint<T> {
    pub fn new(address: Address, name: Arc<str>) -> Self {
        let now = Instant::now();
        let hash = rendezvous::hash(format!("{name} {address}").as_bytes());
        Endpoint {
            transport: T::new(&address),
            shown: address.to_string().into(),
            address,
            name,
            load: Load::new(now),
            traffic: Traffic::default(),
            standing: Standing::new(now),
            health: Health::default(),
            last_error: LastError::default(),
            described: OnceLock::new(),
            hash,
            listed: AtomicUsize::new(0),
        }
    }

    /// What metrics call it: by its name, which the config bounds. A unix socket has none but its path.
    pub fn label(&self) -> &str {
        match &self.address {
            Address::Unix(_) => &self.shown,
            Address::Tcp(_) | Address::Localhost(_) => &self.name,
        }
    }

    /// Whether no list names it any more: its name resolves elsewhere now, or the config changed.
    pub fn is_retired(&self) -> bool {
        self.listed.load(Ordering::Acquire) == 0
    }

    /// Connections that exist, and those of them that are idle.
    pub fn connections(&self) -> (usize, usize) {
        self.transport.connections()
    }

    pub fn enlist(&self) {
        self.listed.fetch_add(1, Ordering::AcqRel);
    }

    pub fn delist(&self) {
        if self.listed.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.transport.close();
        }
    }
}

impl<T> fmt::Debug for Endpoint<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({} at {})", self.name, self.address)
    }
}
