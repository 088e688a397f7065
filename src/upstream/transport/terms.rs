//! What a connection was made under, and whether that still holds.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use crate::net::dial::NearEnd;
use crate::tls::outbound::Client;

/// TLS with one endpoint.
#[derive(Clone, Copy)]
pub struct Secure<'a> {
    pub client: &'a Arc<Client>,
    /// As it was configured, `host:port`.
    pub endpoint: &'a str,
}

/// What a connection was made under.
#[derive(Debug)]
pub struct Terms {
    client: Option<Arc<Client>>,
    /// When a certificate of either side expires.
    until: Option<Instant>,
    /// Tells connections apart that are to end one after the other.
    spread: f32,
    /// By which the connection is known as the proxy's own while it is open.
    _near_end: Option<Box<NearEnd>>,
}

impl Terms {
    /// Without TLS.
    pub fn plain(near_end: Option<Box<NearEnd>>) -> Self {
        Terms {
            client: None,
            until: None,
            spread: 0.0,
            _near_end: near_end,
        }
    }

    pub fn secure(
        client: &Arc<Client>,
        valid_until: Option<SystemTime>,
        near_end: Option<Box<NearEnd>>,
    ) -> Self {
        let left =
            valid_until.map(|until| until.duration_since(SystemTime::now()).unwrap_or_default());
        Terms {
            client: Some(client.clone()),
            until: left.and_then(|left| Instant::now().checked_add(left)),
            spread: fastrand::f32(),
            _near_end: near_end,
        }
    }

    /// Whether the connection may take no further request, now that `current` holds.
    pub fn are_over(&self, current: Option<&Arc<Client>>, now: Instant) -> bool {
        Client::is_over(self.client.as_ref(), current, self.spread, now)
            || self.until.is_some_and(|until| now >= until)
    }
}
