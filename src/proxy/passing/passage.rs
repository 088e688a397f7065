//! One connection that is passed on: what is counted and logged of it, however it ends.

use std::sync::Arc;

use tokio::time::Instant;

use crate::http::message::Tunnelled;
use crate::listener::Accepted;
use crate::net::timer;
use crate::tcp::TcpRoute;
use crate::telemetry::access_log::{AccessLog, Connection};
use crate::telemetry::flood::{self, Group, Kind};

/// The end of what was cut at the end of the program.
const CUT: &str = "cut";

static FAILED: Kind = Kind {
    message: "a connection that is not HTTP was not passed on",
    severe: false,
    first: 10,
};

/// A connection that is passed on. When it is dropped, it is over.
pub(super) struct Passage<'a> {
    pub accepted: &'a Accepted,
    pub route: Arc<TcpRoute>,
    /// The name that its TLS asks for.
    pub name: Option<&'a str>,
    pub began: Instant,
    pub access_log: Option<Arc<AccessLog>>,
    pub passed: Arc<Tunnelled>,
    /// Where it went.
    pub endpoint: Option<Arc<str>>,
    end: &'static str,
    detail: Option<String>,
}

impl<'a> Passage<'a> {
    pub fn new(
        accepted: &'a Accepted,
        route: Arc<TcpRoute>,
        name: Option<&'a str>,
        access_log: Option<Arc<AccessLog>>,
    ) -> Self {
        Passage {
            accepted,
            route,
            name,
            began: timer::now(),
            access_log,
            passed: Arc::default(),
            endpoint: None,
            end: CUT,
            detail: None,
        }
    }

    /// It has a connection to `endpoint`.
    pub fn reached(&mut self, endpoint: Arc<str>) {
        let listener = &self.accepted.listener.name;
        tracing::debug!(
            %listener, route = %self.route.name, peer = %self.accepted.peer.address, %endpoint,
            "passing a connection on"
        );
        self.endpoint = Some(endpoint);
        self.route.count(listener, "ok");
    }

    pub fn ends(&mut self, how: &'static str) {
        self.end = how;
    }

    /// It does not go on, for the reason that is called `result`; `why` tells operators.
    pub fn fails(mut self, result: &'static str, why: String) {
        let listener = &self.accepted.listener.name;
        self.route.count(listener, result);
        let group = Group {
            listener: Some(listener.clone()),
            route: Some(self.route.name.clone()),
            reason: Some(result),
            ..Group::default()
        };
        if flood::passes(&FAILED, group) {
            let peer = &self.accepted.peer;
            let destination = peer.original.as_deref().map(tracing::field::display);
            tracing::info!(
                %listener, route = %self.route.name, peer = %peer.address, destination, reason = result,
                "{}: {why}", FAILED.message
            );
        }
        self.end = result;
        self.detail = Some(why);
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        let (listener, peer) = (&self.accepted.listener.name, &self.accepted.peer);
        let (from_caller, to_caller) = (self.passed.from_caller(), self.passed.to_caller());
        if self.endpoint.is_some() {
            self.route.count_bytes(listener, from_caller, to_caller);
        }
        if let Some(log) = &self.access_log {
            log.write_connection(&Connection {
                client: peer.address.ip(),
                server_name: self.name,
                destination: peer.original.as_deref().copied(),
                from_caller,
                to_caller,
                seconds: self.began.elapsed().as_secs_f64(),
                listener,
                route: &self.route.name,
                upstream: self.route.upstream(),
                endpoint: self.endpoint.as_deref(),
                end: self.end,
                detail: self.detail.as_deref(),
            });
        }
    }
}
