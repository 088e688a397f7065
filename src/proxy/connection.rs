//! One connection of a caller: which protocol it speaks, and its requests one by one.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{Proxy, passing, upgrade};
use crate::codec::{Detected, Service, Settings, detect, h1, h2};
use crate::http::error::{BAD_REQUEST, Error};
use crate::http::headers::Headers;
use crate::http::message::{Context, Request, Response, Upgraded};
use crate::http::peer::Peer;
use crate::listener::{Accepted, Config, Protocol, Secured};
use crate::net::io::Io;
use crate::tls;

/// Serves a connection to its end. An idle one keeps the memory of all that it could do, so what is seldom done is in
/// a box.
pub async fn serve(proxy: Arc<Proxy>, mut accepted: Accepted) {
    let config = accepted.listener.config.load_full();
    let mut agreed = None;
    if config.tls.is_some() {
        let Some(server) = accepted.listener.tls() else {
            return;
        };
        // Apart, so that who is connected does not carry the room of the handshake along.
        match Box::pin(accepted.secure(&server)).await {
            Secured::Yes(secured, protocol) => {
                accepted = secured;
                agreed = protocol;
            }
            Secured::Plain(accepted, early) => {
                return Box::pin(refuse_plain(&proxy, accepted, &config, early)).await;
            }
            Secured::No => return,
        }
    }
    if let Some(pass_through) = config.pass_through.on()
        && !Box::pin(passing::is_http(&proxy, &accepted, &config, pass_through)).await
    {
        return;
    }
    // What is not taken out, such as the count of connections, lives to the end of this function.
    let Accepted {
        io,
        peer,
        ticket,
        listener,
        ..
    } = accepted;
    let ticket = ticket.watched().await;
    let draining = || ticket.is_draining();
    let settings = settings(&config);
    let detected = match agreed.as_deref() {
        Some(tls::HTTP2) => Some(Detected::Http2(BytesMut::new())),
        Some(_) => Some(Detected::Http1(BytesMut::new())),
        None => find_protocol(&io, &config, &settings, draining).await,
    };
    let requests = Requests {
        proxy: &proxy,
        peer: &peer,
        config: &config,
    };
    let served = match detected {
        Some(Detected::Http1(early)) => {
            h1::server::serve(io, early, settings, draining, requests).await
        }
        Some(Detected::Http2(early)) => {
            Box::pin(h2::server::serve(io, early, settings, draining, requests)).await
        }
        None => return,
    };
    if let Err(error) = served {
        tracing::debug!(listener = %listener.name, peer = %peer.address, %error, "a caller's connection ended early");
    }
}

/// Finds out what the caller speaks. `None` when the connection is over. Where only HTTP/2 is spoken, whatever comes is
/// taken as that, and what is none breaks the connection (RFC 9113, section 3.4).
async fn find_protocol(
    io: &Io,
    config: &Config,
    settings: &Settings,
    draining: impl Fn() -> bool,
) -> Option<Detected> {
    let speaks = |protocol| config.protocols.contains(&protocol);
    if !speaks(Protocol::Http2) {
        return Some(Detected::Http1(BytesMut::new()));
    }
    match detect(io, settings, draining).await? {
        Detected::Http1(early) if !speaks(Protocol::Http1) => Some(Detected::Http2(early)),
        detected => Some(detected),
    }
}

/// Answers who speaks HTTP where TLS is spoken.
async fn refuse_plain(proxy: &Proxy, accepted: Accepted, config: &Config, early: BytesMut) {
    // Whoever speaks something else could not read an answer.
    if !early.first().is_some_and(u8::is_ascii_uppercase) {
        return;
    }
    let error = Error::new(BAD_REQUEST, "this port speaks TLS: write https://");
    let error = error.of_head(h1::head::outline(&early));
    let answer = proxy.refuse(error, &accepted.peer, config);
    h1::server::refuse(accepted.io, early, settings(config), answer).await;
}

/// What the listener's block says to the codecs.
fn settings(config: &Config) -> Settings {
    Settings {
        max_header_bytes: u32::try_from(config.max_header_bytes.0).unwrap_or(u32::MAX),
        max_headers: config.max_headers,
        header_timeout: config.header_timeout.0,
        body_timeout: config.body_timeout.0,
        idle_timeout: config.idle_timeout.0,
        max_concurrent_streams: config.max_concurrent_streams,
    }
}

/// The requests of one connection, answered by the proxy.
struct Requests<'a> {
    proxy: &'a Proxy,
    peer: &'a Arc<Peer>,
    config: &'a Config,
}

impl Service for Requests<'_> {
    fn context(&self, headers: &Headers) -> Context {
        self.proxy.context(self.peer, headers)
    }

    fn answer(&self, request: Box<Request>) -> impl Future<Output = Box<Response>> {
        self.proxy.handle(request, self.config)
    }

    fn refuse(&self, error: Error) -> Box<Response> {
        self.proxy.refuse(error, self.peer, self.config)
    }

    fn refuse_silently(&self, error: Error) {
        self.proxy.refuse_silently(error, self.peer, self.config);
    }

    fn tunnel(&self, caller: &Io, early: Bytes, upgraded: Upgraded) -> impl Future<Output = ()> {
        upgrade::serve(caller, early, upgraded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future_size<A, B, F: Future>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// Every idle connection keeps it. What a connection seldom does belongs into a box.
    #[test]
    fn what_serves_a_connection_is_small() {
        let size = future_size(serve);
        assert!(size <= 3072, "{size} bytes");
    }
}
