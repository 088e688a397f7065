//! One connection of a caller: which protocol it speaks, and its requests one by one.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};

use super::{Proxy, upgrade};
use crate::codec::h2::frame::PREFACE;
use crate::codec::{Service, Settings, h1, h2};
use crate::http::error::{BAD_REQUEST, Error};
use crate::http::headers::Headers;
use crate::http::message::{Context, Request, Response, Upgraded};
use crate::http::peer::Peer;
use crate::listener::{Accepted, Config, Protocol, Secured};
use crate::net::buffer;
use crate::net::io::Io;
use crate::net::timer::{self, Deadline};
use crate::tls;

/// Bytes of the smallest frame, such as empty settings.
const FRAME_HEAD: usize = 9;

/// Serves a connection to its end. An idle one keeps the memory of all that it could do, so what is seldom done is in
/// a box.
pub async fn serve(proxy: Arc<Proxy>, mut accepted: Accepted) {
    poll_fn(|cx| {
        accepted.ticket.register(cx);
        Poll::Ready(())
    })
    .await;
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
    let detected = match agreed.as_deref() {
        Some(tls::HTTP2) => Some((Spoken::Http2, BytesMut::new())),
        Some(_) => Some((Spoken::Http1, BytesMut::new())),
        None => detect(&accepted, &config).await,
    };
    match detected {
        Some((Spoken::Http2, early)) => {
            Box::pin(serve_http2(proxy, accepted, config, early)).await;
        }
        Some((Spoken::Http1, early)) => serve_http1(proxy, accepted, config, early).await,
        None => {}
    }
}

/// Which protocol a caller speaks.
enum Spoken {
    Http1,
    Http2,
}

/// Finds out what the caller speaks, and hands on the bytes that told. `None` when the connection is over. Where only
/// HTTP/2 is spoken, whatever comes is taken as that, and what is none breaks the connection (RFC 9113, section 3.4).
async fn detect(accepted: &Accepted, config: &Config) -> Option<(Spoken, BytesMut)> {
    if !config.protocols.contains(&Protocol::Http2) {
        return Some((Spoken::Http1, BytesMut::new()));
    }
    let mut early = BytesMut::new();
    let (mut begun, mut hurried) = (false, false);
    let mut deadline = Deadline::new();
    deadline.set(timer::now() + config.idle_timeout.0);
    let spoken = poll_fn(|cx| {
        while accepted.io.poll_read_ready(cx).is_ready() {
            if early.capacity() == 0 {
                early = buffer::take_read();
            }
            match accepted.io.poll_read(cx, &mut early) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(None),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => break,
            }
            if let Some(spoken) = spoken(&early) {
                return Poll::Ready(Some(spoken));
            }
        }
        if early.is_empty() {
            buffer::give_read(std::mem::take(&mut early));
            // A connection that was accepted last brings a request all the same.
            if !hurried && accepted.ticket.is_draining() {
                hurried = true;
                deadline.set(timer::now() + config.idle_timeout.0.min(h1::server::DRAIN_GRACE));
            }
        } else if !begun {
            begun = true;
            deadline.set(timer::now() + config.header_timeout.0);
        }
        deadline.poll_passed(cx).map(|()| None)
    })
    .await?;
    if config.protocols.contains(&Protocol::Http1) {
        Some((spoken, early))
    } else {
        Some((Spoken::Http2, early))
    }
}

/// What these first bytes say, once they say it. An HTTP/2 caller sends its settings with the preface.
fn spoken(early: &[u8]) -> Option<Spoken> {
    if early.starts_with(PREFACE) {
        return (early.len() >= PREFACE.len() + FRAME_HEAD).then_some(Spoken::Http2);
    }
    (!PREFACE.starts_with(early)).then_some(Spoken::Http1)
}

async fn serve_http1(proxy: Arc<Proxy>, accepted: Accepted, config: Arc<Config>, early: BytesMut) {
    let settings = settings(&config);
    // What is not taken out, such as the count of connections, lives to the end of this function.
    let Accepted {
        io, peer, ticket, ..
    } = accepted;
    let draining = || ticket.is_draining();
    let requests = Requests {
        proxy: &proxy,
        peer: &peer,
        config: &config,
    };
    if let Err(error) = h1::server::serve(io, early, settings, draining, requests).await {
        tracing::debug!(peer = %peer.address, %error, "an answer was cut");
    }
}

async fn serve_http2(proxy: Arc<Proxy>, accepted: Accepted, config: Arc<Config>, early: BytesMut) {
    let settings = settings(&config);
    let Accepted {
        io,
        peer,
        ticket,
        listener,
        ..
    } = accepted;
    let draining = || ticket.is_draining();
    let requests = Requests {
        proxy: &proxy,
        peer: &peer,
        config: &config,
    };
    if let Err(error) = h2::server::serve(io, early, settings, draining, requests).await {
        tracing::debug!(listener = %listener.name, peer = %peer.address, %error, "an HTTP/2 connection broke");
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

    fn tunnel(&self, caller: Io, early: Bytes, upgraded: Upgraded) -> impl Future<Output = ()> {
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
