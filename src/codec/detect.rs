//! Which protocol a caller speaks, where the handshake of TLS did not say.

use std::future::poll_fn;
use std::task::Poll;

use bytes::BytesMut;

use super::h1::server::DRAIN_GRACE;
use super::h2::frame::PREFACE;
use super::settings::Settings;
use crate::net::buffer;
use crate::net::io::Io;
use crate::net::timer::{self, Deadline};

/// Bytes of the smallest frame, such as empty settings.
const FRAME_HEAD: usize = 9;

/// The protocol, and the bytes that told.
pub enum Detected {
    Http1(BytesMut),
    Http2(BytesMut),
}

/// Reads until it is certain. `None` when the connection is over.
pub async fn detect(io: &Io, settings: &Settings, draining: impl Fn() -> bool) -> Option<Detected> {
    let mut early = BytesMut::new();
    let (mut begun, mut hurried) = (false, false);
    let mut deadline = Deadline::new();
    deadline.set(timer::now() + settings.idle_timeout);
    let is_http2 = poll_fn(|cx| {
        while io.poll_read_ready(cx).is_ready() {
            if early.capacity() == 0 {
                early = buffer::take_read();
            }
            match io.poll_read(cx, &mut early) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(None),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => break,
            }
            if let Some(is_http2) = is_http2(&early) {
                return Poll::Ready(Some(is_http2));
            }
        }
        if early.is_empty() {
            buffer::give_read(std::mem::take(&mut early));
            // A connection that was accepted last brings a request all the same.
            if !hurried && draining() {
                hurried = true;
                deadline.set(timer::now() + settings.idle_timeout.min(DRAIN_GRACE));
            }
        } else if !begun {
            begun = true;
            deadline.set(timer::now() + settings.header_timeout);
        }
        deadline.poll_passed(cx).map(|()| None)
    })
    .await?;
    Some(if is_http2 {
        Detected::Http2(early)
    } else {
        Detected::Http1(early)
    })
}

/// What these first bytes say, once they say it. An HTTP/2 caller sends its settings with the preface.
fn is_http2(early: &[u8]) -> Option<bool> {
    if early.starts_with(PREFACE) {
        return (early.len() >= PREFACE.len() + FRAME_HEAD).then_some(true);
    }
    (!PREFACE.starts_with(early)).then_some(false)
}
