//! What comes to a listener and is not HTTP: bytes both ways, to where a TCP route says or their caller wanted to go.

use std::sync::Arc;

use bytes::Bytes;

use super::Proxy;
use super::upgrade::{self, End};
use crate::http::message::Upgraded;
use crate::http::peer::PeerAddress;
use crate::listener::{Accepted, Config, PassThrough};
use crate::net::dial;
use crate::tcp::{From, TcpRoute, Wanted};
use look::{Ahead, Look, Question};
use passage::Passage;

mod look;
mod passage;

/// Passes the connection on to its end, if it is not HTTP; otherwise says that it is.
pub(super) async fn is_http(
    proxy: &Proxy,
    accepted: &Accepted,
    config: &Config,
    settings: &PassThrough,
) -> bool {
    let listener = &accepted.listener.name;
    let name = {
        // The guard of what serves must not live across an await.
        let serving = proxy.serving.load();
        if accepted.peer.original.is_none() && !serving.tcp.serves(listener) {
            return true;
        }
        serving.tcp.asks_for_names(listener)
    };
    let question = Question {
        http: !config.protocols.is_empty(),
        name,
        silence: settings.detect_timeout.0,
        hello: config.header_timeout.0,
    };
    match look::look(&accepted.io, question).await {
        Look::Http => true,
        Look::Other(ahead) => {
            pass(proxy, accepted, config, settings, ahead).await;
            false
        }
    }
}

async fn pass(
    proxy: &Proxy,
    accepted: &Accepted,
    config: &Config,
    settings: &PassThrough,
    ahead: Ahead,
) {
    let listener = &accepted.listener.name;
    let original = accepted.peer.original.as_deref().copied();
    let wanted = Wanted {
        listener,
        destination: original,
        name: ahead.name.as_deref(),
    };
    let mut passage = {
        let serving = proxy.serving.load();
        let route = serving.tcp.find(&wanted).cloned();
        let route = route.unwrap_or_else(|| Arc::new(TcpRoute::none()));
        let access_log = serving.access_log.clone();
        Passage::new(accepted, route, wanted.name, access_log)
    };
    if let PeerAddress::Tcp(caller) = accepted.peer.address
        && dial::is_ours(caller)
    {
        let why =
            "it comes from this proxy itself, whose user is not excluded from the redirection";
        return passage.fails("loop_detected", why.to_owned());
    }
    let route = passage.route.clone();
    let Some(_place) = route.enter(listener) else {
        let why = "the route has as many connections as it may";
        return passage.fails("overloaded", why.to_owned());
    };
    let from = From {
        client: accepted.peer.address.ip(),
        original,
    };
    let opened = match route.open(from, settings.connect_timeout.0).await {
        Ok(opened) => opened,
        Err(failure) => return passage.fails(failure.result, failure.why),
    };
    passage.reached(opened.endpoint);
    let _held = opened.held;
    let upgraded = Upgraded {
        io: opened.io,
        early: Bytes::new(),
        protocol: None,
        idle_limit: Some(route.idle_timeout.unwrap_or(config.idle_timeout.0)),
        passed: passage.passed.clone(),
    };
    let ended = upgrade::tunnel(&accepted.io, ahead.bytes.freeze(), upgraded).await;
    passage.ends(match ended {
        Ok(End::Closed) => "closed",
        Ok(End::Idle) => "idle_timeout",
        Err(_) => "reset",
    });
}
