//! Connections to endpoints over which nothing is spoken here: bytes of others pass.

use std::net::IpAddr;
use std::sync::Arc;

use super::balance::admission::Admission;
use super::balance::balancer::BalancerConfig;
use super::balance::picker::Picked;
use super::transport::connector;
use super::transport::terms::Terms;
use super::{Endpoint, LoadGuard, Upstream};
use crate::http::error::{Error, NO_HEALTHY_ENDPOINT, OVERLOADED};
use crate::http::message::Tried;
use crate::http::rendezvous;
use crate::net::io::Io;
use crate::net::timer;

/// How many endpoints are tried for one connection. Nothing was sent to those that failed.
const TRIES: usize = 3;

/// A connection to an endpoint. It counts as in flight there until what it holds is dropped.
pub struct Through {
    pub io: Io,
    /// The endpoint's address.
    pub endpoint: Arc<str>,
    pub held: Held,
}

/// What is to last as long as the connection.
pub struct Held {
    /// It keeps the near end known.
    _terms: Terms,
    _load: LoadGuard,
    _admission: Admission,
}

impl Upstream {
    /// Connects to an endpoint for the bytes of a caller at `client`, and to another where that fails. How long connecting
    /// takes counts as the endpoint's latency.
    ///
    /// # Errors
    /// `overloaded`, `no_healthy_endpoint`, `connect_failed`, `connect_timeout`.
    pub async fn open(&self, client: Option<IpAddr>) -> Result<Through, Error> {
        let admission = self.admit()?;
        self.ready().await;
        let tried = Tried::default();
        let mut connected = self.try_one(client, &tried).await;
        while let Err(error) = &connected
            && error.reason() != OVERLOADED
            && tried.count() < TRIES
            && self.has_untried(&tried)
        {
            connected = self.try_one(client, &tried).await;
        }
        let (load, connected) = connected?;
        Ok(Through {
            io: connected.io,
            endpoint: load.endpoint().shown.clone(),
            held: Held {
                _terms: connected.terms,
                _load: load,
                _admission: admission,
            },
        })
    }

    async fn try_one(
        &self,
        client: Option<IpAddr>,
        tried: &Tried,
    ) -> Result<(LoadGuard, connector::Connected), Error> {
        let load = self.pick_for(client, tried)?;
        let endpoint = load.endpoint();
        let limit = self.connect_timeout();
        let connected = connector::connect(&endpoint.address, limit, None, || {}).await;
        let now = timer::now();
        let waited = now.saturating_duration_since(load.started());
        let told = connected.as_ref().map(|_| ());
        self.metrics.connected(told);
        match told {
            Ok(()) => {
                endpoint.load.answered(waited, now);
                endpoint.standing.answered();
                endpoint.standing.completed();
            }
            // Where this process has no descriptor left, nobody else is to blame.
            Err(error) if error.reason() == OVERLOADED => {}
            Err(error) => {
                endpoint.load.failed(waited, now);
                endpoint.standing.failed();
                endpoint.last_error.note(now, Err(error));
            }
        }
        connected.map(|connected| (load, connected))
    }

    fn pick_for(&self, client: Option<IpAddr>, tried: &Tried) -> Result<LoadGuard, Error> {
        let now = timer::now();
        let key = match &self.config.balancer {
            BalancerConfig::Hash(key) => client.and_then(|ip| key.of_address(ip, rendezvous::hash)),
            _ => None,
        };
        let list = self.follower.set().load();
        let has_been = |endpoint: &Endpoint| tried.has(endpoint.hash);
        let Some(Picked { endpoint, in_panic }) = self.picker.pick(&list, key, now, has_been)
        else {
            return Err(
                Error::new(NO_HEALTHY_ENDPOINT, "the upstream has no endpoint")
                    .because(format!("upstream `{}` has no addresses", self.name)),
            );
        };
        if in_panic {
            self.metrics.panicked();
        }
        tried.note(endpoint.hash);
        Ok(LoadGuard::new(endpoint.clone(), now))
    }

    fn has_untried(&self, tried: &Tried) -> bool {
        let (list, now) = (self.follower.set().load(), timer::now());
        let mut entries = list.entries().iter();
        entries
            .any(|entry| !tried.has(entry.endpoint.hash) && self.is_available(&entry.endpoint, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error::CONNECT_FAILED;
    use crate::net::resolve::Resolve;
    use crate::upstream::Checked;
    use crate::upstream::fake::Names;

    fn upstream(text: &str) -> Arc<Upstream> {
        let resolver: Arc<dyn Resolve> = Arc::new(Names::default());
        let checked = Checked::new(toml::from_str(text).unwrap(), None).unwrap();
        Upstream::next(&"db".parse().unwrap(), &checked, None, &resolver)
    }

    #[tokio::test]
    async fn a_connection_goes_to_an_endpoint_that_is_there_and_counts_to_its_end() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let [here, away] = [&listener, &gone].map(|socket| socket.local_addr().unwrap());
        drop(gone);
        let text = format!(
            "endpoints = [\"{away}\", \"{here}\"]\nbalancer = \"round-robin\"\nmax_in_flight = 2"
        );
        let upstream = upstream(&text);
        let first = upstream.open(None).await.unwrap();
        let second = upstream.open(None).await.unwrap();
        assert_eq!(&*first.endpoint, here.to_string());
        assert_eq!(&*second.endpoint, here.to_string());
        let refused = upstream.open(None).await.err().unwrap();
        assert_eq!(refused.reason(), OVERLOADED);
        let in_flight = || -> usize {
            let list = upstream.follower.set().load();
            let entries = list.entries().iter();
            entries.map(|entry| entry.endpoint.load.in_flight()).sum()
        };
        assert_eq!(in_flight(), 2);
        drop((first, second));
        assert_eq!(in_flight(), 0);
        assert!(upstream.open(None).await.is_ok());
    }

    #[tokio::test]
    async fn endpoints_that_refuse_are_ejected() {
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let away = gone.local_addr().unwrap();
        drop(gone);
        let upstream = upstream(&format!("endpoints = [\"{away}\"]"));
        for _ in 0..2 {
            let failed = upstream.open(None).await.err().unwrap();
            assert_eq!(failed.reason(), CONNECT_FAILED);
        }
        let list = upstream.follower.set().load();
        let endpoint = &list.entries()[0].endpoint;
        assert_eq!(endpoint.standing.failures(), 2);
        assert!(endpoint.last_error.last().is_some());
    }
}
