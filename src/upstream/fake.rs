//! Stand-ins for the tests of this room.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::uri::PathAndQuery;
use http::{Method, Version};
use tokio::time::Instant;

use super::endpoints::address::Address;
use super::endpoints::list::Listed;
use super::{Endpoint, EndpointList};
use crate::http::body::Body;
use crate::http::headers::Headers;
use crate::http::message::{Context, Request, RequestId};
use crate::http::peer::{Peer, PeerAddress};
use crate::net::resolve::{Addresses, Answer, Failure, Found, Known, Resolve, Service};

/// The endpoint 10.0.0.`last`.
pub fn endpoint(last: u8) -> Arc<Endpoint> {
    let address = Address::Tcp(([10, 0, 0, last], 80).into());
    let name = address.to_string().into();
    Arc::new(Endpoint::new(address, name))
}

/// A request that began at `start` and had its head `after` that.
pub fn answered(endpoint: &Arc<Endpoint>, start: Instant, after: Duration) {
    endpoint.load.answered(after, start + after);
}

/// Endpoints 10.0.0.0 and on, with these weights.
pub fn list(weights: &[u32]) -> EndpointList {
    let listed = |(last, &weight): (usize, &u32)| Listed {
        endpoint: endpoint(last as u8),
        weight,
    };
    EndpointList::new(weights.iter().enumerate().map(listed).collect())
}

pub fn request() -> Request {
    Request {
        method: Method::GET,
        authority: None,
        target: PathAndQuery::from_static("/"),
        version: Version::HTTP_11,
        headers: Headers::new(),
        body: Body::empty(),
        upgrade: None,
        context: Context::new(
            Arc::new(Peer {
                address: PeerAddress::Unix,
                listener: "in".into(),
                encrypted: false,
                identity: None,
                source: None,
                original: None,
            }),
            "".into(),
            RequestId::new(),
            Instant::now(),
        ),
    }
}

/// Names that a test sets; each answer is good for [`Names::TTL`].
#[derive(Default)]
pub struct Names {
    addresses: Mutex<HashMap<String, Vec<IpAddr>>>,
    services: Mutex<HashMap<String, Vec<Service>>>,
    /// Questions that get no answer.
    silent: Mutex<HashSet<(String, Question)>>,
    asked: AtomicUsize,
}

/// A type of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    V4,
    V6,
    Service,
}

impl Names {
    pub const TTL: Duration = Duration::from_secs(20);

    pub fn set(&self, host: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        self.addresses
            .lock()
            .unwrap()
            .insert(host.to_owned(), addresses);
    }

    /// From now on there is no such name.
    pub fn fail(&self, host: &str) {
        self.addresses.lock().unwrap().remove(host);
    }

    pub fn set_services(&self, name: &str, services: Vec<Service>) {
        self.services
            .lock()
            .unwrap()
            .insert(name.to_owned(), services);
    }

    /// From now on these questions get no answer.
    pub fn silence(&self, name: &str, questions: &[Question]) {
        let questions = questions.iter().map(|q| (name.to_owned(), *q));
        self.silent.lock().unwrap().extend(questions);
    }

    /// Everything is answered again.
    pub fn speak(&self) {
        self.silent.lock().unwrap().clear();
    }

    /// How often addresses were asked for.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn answer<T: Clone>(
        &self,
        records: &Mutex<HashMap<String, Vec<T>>>,
        name: &str,
        question: Question,
        fits: impl Fn(&T) -> bool,
    ) -> Result<Answer<T>, Failure> {
        let silent = self.silent.lock().unwrap();
        if silent.contains(&(name.to_owned(), question)) {
            return Err(Failure::Silence("nobody answered".into()));
        }
        let all = records.lock().unwrap().get(name).cloned();
        let records: Vec<T> = all
            .ok_or(Failure::NoName)?
            .into_iter()
            .filter(fits)
            .collect();
        if records.is_empty() {
            Err(Failure::NoRecords("none of this kind".into()))
        } else {
            Ok(Answer {
                records,
                ttl: Names::TTL,
            })
        }
    }
}

impl Resolve for Names {
    fn addresses<'a>(
        &'a self,
        host: &'a str,
        _: Known<'a>,
    ) -> BoxFuture<'a, Result<Found<Addresses>, Failure>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let all = &self.addresses;
            let what = Addresses {
                v4: self.answer(all, host, Question::V4, IpAddr::is_ipv4),
                v6: self.answer(all, host, Question::V6, IpAddr::is_ipv6),
            };
            match (&what.v4, &what.v6) {
                (Err(denied), Err(error)) | (Err(error), Err(denied)) if denied.is_denial() => {
                    Err(error.clone())
                }
                (Err(error), Err(_)) => Err(error.clone()),
                _ => Ok(Found {
                    name: Some(host.to_owned()),
                    what,
                }),
            }
        })
    }

    fn services<'a>(
        &'a self,
        name: &'a str,
        _: Known<'a>,
    ) -> BoxFuture<'a, Result<Found<Answer<Service>>, Failure>> {
        Box::pin(async move {
            let what = self.answer(&self.services, name, Question::Service, |_| true)?;
            Ok(Found {
                name: Some(name.to_owned()),
                what,
            })
        })
    }
}
