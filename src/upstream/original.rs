//! The upstream `original-destination`: its endpoints are where callers wanted to go before the kernel redirected them.
//!
//! An endpoint is there from the first request to its address until it has neither a request nor a connection.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use super::endpoints::address::Address;
use super::endpoints::destination::Discovery;
use super::endpoints::set::Resolved;
use super::health::outlier::OutlierConfig;
use super::transport::settings::{PoolConfig, Protocol};
use super::{
    BalancerConfig, Config, Endpoint, EndpointList, Listed, Upstream, connect_timeout,
    max_in_flight, slow_start,
};
use crate::http::error::{Error, LOOP_DETECTED, OVERLOADED, Reason};
use crate::http::message::Request;
use crate::net::resolve::Resolve;
use crate::tls;
use crate::value::{Name, Toggle};

/// The name that stands for where the caller wanted to go.
pub const ORIGINAL_DESTINATION: &str = "original-destination";

/// The connection came to the listener itself: nobody knows where else it should go.
pub const NOT_REDIRECTED: Reason = Reason::new("not_redirected", 421);

/// How many addresses are known at once, so that no caller can fill the memory with them.
const MAX_ENDPOINTS: usize = 1024;

/// What makes an upstream one of original destinations.
pub(super) struct Original {
    /// The addresses at which the proxy itself listens.
    own: Vec<SocketAddr>,
    /// Held while the endpoints are changed.
    turn: Arc<Mutex<()>>,
}

impl Upstream {
    /// The upstream of original destinations, with the endpoints of `old`, its like before a reload. `own` are the
    /// addresses at which the proxy itself listens. None only where its name is none, which no version has.
    pub fn original(
        own: Vec<SocketAddr>,
        old: Option<&Arc<Upstream>>,
        resolver: &Arc<dyn Resolve>,
    ) -> Option<(Name, Arc<Upstream>)> {
        let name: Name = ORIGINAL_DESTINATION.parse().ok()?;
        let checked = tls::Checked::new(config(), None)?;
        let turn = old.and_then(|old| old.original.as_ref());
        let turn = turn.map(|original| original.turn.clone());
        let original = Original {
            own,
            turn: turn.unwrap_or_default(),
        };
        let upstream = Upstream::make(&name, &checked, old, resolver, Some(original));
        Some((name, upstream))
    }

    /// The endpoint that the caller of `request` wanted to reach.
    ///
    /// # Errors
    /// `not_redirected`, `loop_detected`, and `overloaded` when too many addresses are in use.
    pub(super) fn wanted(
        &self,
        original: &Original,
        request: &Request,
    ) -> Result<Arc<Endpoint>, Error> {
        let address = destination(request)?;
        if let Some(endpoint) = found(&self.follower.set().load(), address) {
            return Ok(endpoint);
        }
        original.refuse_own(address)?;
        let _turn = original.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let list = self.follower.set().load_full();
        if let Some(endpoint) = found(&list, address) {
            return Ok(endpoint);
        }
        let mut resolved = addresses(list.entries().iter());
        if resolved.len() >= MAX_ENDPOINTS {
            resolved = addresses(list.entries().iter().filter(|entry| !is_unused(entry)));
        }
        if resolved.len() >= MAX_ENDPOINTS {
            // Its idle connections are given up for the one that is wanted.
            let idle = |entry: &&Listed| entry.endpoint.load.in_flight() == 0;
            let Some(idle) = list.entries().iter().find(idle) else {
                return Err(Error::new(OVERLOADED, "too many destinations at once")
                    .because(format!("{MAX_ENDPOINTS} destinations have requests")));
            };
            resolved.retain(|resolved| resolved.address != idle.endpoint.address);
        }
        resolved.push(Resolved::new(Address::Tcp(address), address.to_string(), 1));
        self.follower.set().update(&resolved);
        found(&self.follower.set().load(), address)
            .ok_or_else(|| Error::new(OVERLOADED, "too many destinations at once"))
    }

    /// Where [`Upstream::wanted`] would have the request go. Nothing is changed by asking.
    ///
    /// # Errors
    /// `not_redirected` and `loop_detected`.
    pub(super) fn wanted_address(
        &self,
        original: &Original,
        request: &Request,
    ) -> Result<SocketAddr, Error> {
        let address = destination(request)?;
        if found(&self.follower.set().load(), address).is_none() {
            original.refuse_own(address)?;
        }
        Ok(address)
    }

    /// Forgets the addresses to which there is no connection any more.
    pub(super) fn forget_unused(&self, original: &Original) {
        let list = self.follower.set().load_full();
        if list.entries().iter().any(is_unused) {
            let _turn = original.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let list = self.follower.set().load_full();
            let used = list.entries().iter().filter(|entry| !is_unused(entry));
            self.follower.set().update(&addresses(used));
        }
    }
}

impl Original {
    fn refuse_own(&self, address: SocketAddr) -> Result<(), Error> {
        if self.own.iter().any(|own| is_reached_at(*own, address)) {
            return Err(
                Error::new(LOOP_DETECTED, "the request would come back to this proxy")
                    .because(format!("{address} is an address of its own")),
            );
        }
        Ok(())
    }
}

/// Where the caller had connected to before it was redirected.
fn destination(request: &Request) -> Result<SocketAddr, Error> {
    let peer = &request.context.peer;
    peer.original.as_deref().copied().ok_or_else(|| {
        Error::new(
            NOT_REDIRECTED,
            "the kernel has not redirected this connection, so it has no other destination",
        )
        .because(format!(
            "the caller connected to listener `{}` itself",
            peer.listener
        ))
    })
}

fn found(list: &EndpointList, address: SocketAddr) -> Option<Arc<Endpoint>> {
    let mut entries = list.entries().iter();
    let there = |entry: &&Listed| entry.endpoint.address == Address::Tcp(address);
    entries.find(there).map(|entry| entry.endpoint.clone())
}

fn is_unused(entry: &Listed) -> bool {
    entry.endpoint.load.in_flight() == 0 && entry.endpoint.connections().0 == 0
}

fn addresses<'l>(entries: impl Iterator<Item = &'l Listed>) -> Vec<Resolved> {
    let resolved = entries.map(|entry| {
        let endpoint = &entry.endpoint;
        Resolved::new(endpoint.address.clone(), endpoint.name.clone(), 1)
    });
    resolved.collect()
}

/// Whether what is sent to `address` comes to the socket that listens at `own`.
fn is_reached_at(own: SocketAddr, address: SocketAddr) -> bool {
    let (ip, to) = (own.ip().to_canonical(), address.ip());
    own.port() == address.port()
        && (ip == to || to.is_unspecified() || ip.is_unspecified() && is_of_this_machine(address))
}

/// Only an address of this machine's own can be bound.
fn is_of_this_machine(address: SocketAddr) -> bool {
    address.ip().is_loopback() || UdpSocket::bind((address.ip(), 0)).is_ok()
}

/// What holds for it: the defaults, without what chooses among endpoints.
fn config() -> Config {
    Config {
        endpoints: Vec::new(),
        discovery: Discovery::Static,
        protocol: Protocol::default(),
        balancer: BalancerConfig::default(),
        connect_timeout: connect_timeout(),
        tls: None,
        pool: PoolConfig::default(),
        health_check: None,
        outlier_detection: Toggle::<OutlierConfig>::Off,
        slow_start: slow_start(),
        max_in_flight: max_in_flight(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::peer::{Peer, PeerAddress};
    use crate::testing;
    use crate::upstream::fake::Names;

    fn original() -> Arc<Upstream> {
        let own = vec![([0, 0, 0, 0], 15001).into()];
        let resolver: Arc<dyn Resolve> = Arc::new(Names::default());
        let (_, upstream) = Upstream::original(own, None, &resolver).unwrap();
        upstream
    }

    fn wanting(address: Option<&str>) -> Box<Request> {
        let mut request = testing::request("GET", "/");
        request.context.peer = Arc::new(Peer {
            address: PeerAddress::Unix,
            listener: "out".into(),
            encrypted: false,
            identity: None,
            source: None,
            original: address.map(|address| Box::new(address.parse().unwrap())),
        });
        request
    }

    fn refusal(upstream: &Upstream, address: Option<&str>) -> Reason {
        upstream.pick(&wanting(address), None).unwrap_err().reason()
    }

    #[tokio::test]
    async fn each_destination_is_an_endpoint_while_it_is_used() {
        let upstream = original();
        let first = upstream.pick(&wanting(Some("192.0.2.1:80")), None).unwrap();
        let again = upstream.pick(&wanting(Some("192.0.2.1:80")), None).unwrap();
        let other = upstream
            .pick(&wanting(Some("[2001:db8::1]:80")), None)
            .unwrap();
        assert!(Arc::ptr_eq(first.endpoint(), again.endpoint()));
        assert_eq!(&*other.endpoint().name, "[2001:db8::1]:80");
        assert!(!upstream.has_alternative());
        drop((again, other));
        upstream.sweep();
        let left: Vec<_> = upstream.endpoints().into_iter().map(|e| e.name).collect();
        assert_eq!(left.len(), 1, "the one that has a request");
        drop(first);
        upstream.sweep();
        assert_eq!(upstream.endpoints().len(), 0);
    }

    #[tokio::test]
    async fn what_was_not_redirected_or_leads_back_is_refused() {
        let upstream = original();
        assert_eq!(refusal(&upstream, None), NOT_REDIRECTED);
        assert_eq!(refusal(&upstream, Some("127.0.0.1:15001")), LOOP_DETECTED);
        assert_eq!(refusal(&upstream, Some("127.9.9.9:15001")), LOOP_DETECTED);
        let elsewhere = upstream.pick(&wanting(Some("192.0.2.1:15001")), None);
        assert!(elsewhere.is_ok(), "another machine has the same port");
    }

    #[tokio::test]
    async fn addresses_are_bounded_and_an_idle_one_makes_way() {
        let upstream = original();
        let address = |number: usize| format!("192.0.2.1:{}", number + 1);
        let pick = |number| upstream.pick(&wanting(Some(&address(number))), None);
        let mut busy: Vec<_> = (0..MAX_ENDPOINTS)
            .map(|number| pick(number).unwrap())
            .collect();
        assert_eq!(pick(MAX_ENDPOINTS).unwrap_err().reason(), OVERLOADED);
        busy.truncate(MAX_ENDPOINTS - 1);
        assert!(pick(MAX_ENDPOINTS).is_ok());
        assert!(upstream.endpoints().len() <= MAX_ENDPOINTS);
    }
}
