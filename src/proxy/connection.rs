//! One connection of a caller: which protocol it speaks, and its requests one by one.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::BytesMut;
use http::Version;

use super::Proxy;
use super::upgrade::{Side, tunnel};
use crate::codec::h1::{self, head::Limits};
use crate::codec::h2;
use crate::http::body::Body;
use crate::http::error::{BAD_REQUEST, CALLER_GONE, Error, REQUEST_TIMEOUT};
use crate::http::message::{Interim, Request, Response};
use crate::listener::{Accepted, Config, Protocol, Secured};
use crate::net::buffer;
use crate::net::timer::{self, Deadline};
use crate::tls;

/// What an HTTP/2 connection begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
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

async fn serve_http2(proxy: Arc<Proxy>, accepted: Accepted, config: Arc<Config>, early: BytesMut) {
    let settings = h2::server::Settings {
        max_concurrent_streams: config.max_concurrent_streams,
        max_header_bytes: u32::try_from(config.max_header_bytes.0).unwrap_or(u32::MAX),
        max_headers: config.max_headers,
        header_timeout: config.header_timeout.0,
        body_timeout: config.body_timeout.0,
        idle_timeout: config.idle_timeout.0,
    };
    let Accepted {
        io,
        peer,
        ticket,
        listener,
        ..
    } = accepted;
    let answer =
        |head: Result<h2::server::RequestHead, Error>, body: Body, interim: Arc<dyn Interim>| {
            let (proxy, peer, config) = (proxy.clone(), peer.clone(), config.clone());
            async move {
                match head {
                    Ok(head) => {
                        let context = proxy.context(&peer, &head.headers, Some(interim));
                        let request = Box::new(Request {
                            method: head.method,
                            authority: head.authority,
                            target: head.target,
                            version: Version::HTTP_2,
                            headers: head.headers,
                            body,
                            upgrade: None,
                            context,
                        });
                        proxy.handle(request, &config).await
                    }
                    Err(error) => proxy.refuse(error, &peer, &config),
                }
            }
        };
    let draining = || ticket.is_draining();
    let unanswered = |error| proxy.refuse_silently(error, &peer, &config);
    if let Err(error) = h2::server::serve(io, early, settings, draining, answer, unanswered).await {
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
    let connection = h1::server::Connection::new(accepted.io, early, http1_settings(config));
    end_with(connection, answer).await;
}

fn http1_settings(config: &Config) -> h1::server::Settings {
    h1::server::Settings {
        head: Limits {
            bytes: usize::try_from(config.max_header_bytes.0)
                .unwrap_or(usize::MAX)
                .min(1 << 30),
            fields: config.max_headers,
        },
        header_timeout: config.header_timeout.0,
        idle_timeout: config.idle_timeout.0,
        body_timeout: config.body_timeout.0,
    }
}

async fn serve_http1(proxy: Arc<Proxy>, accepted: Accepted, config: Arc<Config>, early: BytesMut) {
    let settings = http1_settings(&config);
    // What is not taken out, such as the count of connections, lives to the end of this function.
    let Accepted {
        io, peer, ticket, ..
    } = accepted;
    let mut connection = h1::server::Connection::new(io, early, settings);
    let receive = {
        let (proxy, peer, interim) = (proxy.clone(), peer.clone(), connection.interim());
        move |head: h1::head::RequestHead, body| {
            // An HTTP/1.0 caller cannot read interim answers (RFC 9110, section 15.2).
            let interim = (head.version == Version::HTTP_11).then(|| interim.clone());
            Box::new(Request {
                context: proxy.context(&peer, &head.headers, interim),
                method: head.method,
                authority: head.authority,
                target: head.target,
                version: head.version,
                headers: head.headers,
                body,
                upgrade: head.upgrade,
            })
        }
    };
    loop {
        let request = match connection.next(|| ticket.is_draining(), &receive).await {
            Ok(Some(request)) => request,
            Ok(None) => return connection.leave(),
            Err(error) => {
                let answer = proxy.refuse(error, &peer, &config);
                return Box::pin(end_with(connection, answer)).await;
            }
        };
        let answered = {
            let mut answering = pin!(proxy.handle(request, &config));
            poll_fn(|cx| match answering.as_mut().poll(cx) {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                // Dropping the future ends the upstream request.
                Poll::Pending => connection.poll_gone(cx).map(|()| None),
            })
            .await
        };
        let Some(mut response) = answered else {
            return;
        };
        if response.refused == Some(CALLER_GONE) {
            return;
        }
        if let Some(upgraded) = response.upgrade.take() {
            // It holds the connection's way for interim answers.
            drop(receive);
            return Box::pin(switch(connection, *response, upgraded)).await;
        }
        match connection.respond(response, !ticket.is_draining()).await {
            Ok(true) => {}
            Ok(false) => {
                // Nobody but the connection holds the stream then, so that it ends with it.
                drop(receive);
                return connection.close().await;
            }
            Err(error) => {
                if error.reason() != CALLER_GONE && error.reason() != REQUEST_TIMEOUT {
                    tracing::debug!(peer = %peer.address, %error, "an answer was cut");
                }
                return;
            }
        }
    }
}

/// Gives a last answer.
async fn end_with(mut connection: h1::server::Connection, answer: Box<Response>) {
    if connection.respond(answer, false).await.is_ok() {
        connection.close().await;
    }
}

async fn switch(
    connection: h1::server::Connection,
    mut response: Response,
    upgraded: Box<crate::http::message::Upgraded>,
) {
    // It is not sent again, and holds the connection's way for interim answers.
    response.request = None;
    let switched = connection
        .switch(
            response.status,
            &response.headers,
            upgraded.protocol.as_ref(),
        )
        .await;
    let Ok((io, early)) = switched else {
        return;
    };
    let caller = Side { io, early };
    let upstream = Side {
        io: upgraded.io,
        early: upgraded.early,
    };
    if let Err(error) = tunnel(caller, upstream, upgraded.idle_limit, &upgraded.passed).await {
        tracing::debug!(%error, "an upgraded connection broke");
    }
    // The answer's guards, such as the count of requests in flight, live to the end of the tunnel.
    drop(response.body);
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
