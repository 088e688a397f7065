//! TLS of the admin API: what is spoken now, and from a connection to an encrypted one.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use bytes::BytesMut;
use tokio::sync::watch;
use tokio::time::timeout;

use super::config::Checked;
use crate::net::io::Io;
use crate::telemetry::flood::{self, Group, Kind};
use crate::tls::inbound::Server;
use crate::tls::{
    self,
    handshake::{self, Refusal},
};

/// How long whoever speaks no TLS may take to read that it must.
const FAREWELL: Duration = Duration::from_secs(1);

const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
    connection: close\r\n\r\nthe admin API speaks TLS: write https://\n";

static FAILED: Kind = Kind {
    message: "a TLS handshake with the admin API failed",
    severe: false,
    first: 10,
};

/// What is spoken on the admin API's address, by the config that serves.
pub struct Tls {
    protocol: ArcSwap<Protocol>,
    changes: watch::Sender<()>,
}

enum Protocol {
    Plain,
    Tls(Arc<Server>),
    /// TLS is wanted, and cannot be.
    Nothing,
}

/// A connection that may ask.
#[derive(Clone)]
pub(super) struct Session {
    pub is_encrypted: bool,
    /// Since when the caller's certificate is not valid any more.
    valid_until: Option<SystemTime>,
    changes: watch::Receiver<()>,
}

/// That a request came encrypted; one of its extensions.
#[derive(Clone, Copy)]
pub(super) struct Encrypted;

impl Default for Tls {
    fn default() -> Self {
        Tls {
            protocol: ArcSwap::from_pointee(Protocol::Plain),
            changes: watch::Sender::new(()),
        }
    }
}

impl Tls {
    /// Speaks TLS as `checked` says, or none. Where either is TLS, connections that were made before
    /// take no further request: whoever made one might not be let in any more.
    pub fn reconfigure(&self, checked: &Checked) {
        let old = self.protocol.load_full();
        let protocol = match (checked.tls(), &*old) {
            (None, Protocol::Plain) => return,
            (None, _) => Protocol::Plain,
            (Some((config, material)), old) => {
                let old = match old {
                    Protocol::Tls(server) => Some(&**server),
                    Protocol::Plain | Protocol::Nothing => None,
                };
                match Server::new(config, material.clone(), vec![tls::HTTP1], old) {
                    Some(server) => Protocol::Tls(Arc::new(server)),
                    None => Protocol::Nothing,
                }
            }
        };
        self.protocol.store(Arc::new(protocol));
        self.changes.send_replace(());
    }

    /// Makes a session of a connection; None when the connection is over.
    pub(super) async fn secure(&self, io: Io, peer: Option<SocketAddr>) -> Option<(Io, Session)> {
        let changes = self.changes.subscribe();
        let server = match &**self.protocol.load() {
            Protocol::Plain => None,
            Protocol::Tls(server) => Some(server.clone()),
            Protocol::Nothing => return None,
        };
        let session = |is_encrypted, valid_until| Session {
            is_encrypted,
            valid_until,
            changes,
        };
        let Some(server) = server else {
            return Some((io, session(false, None)));
        };
        match handshake::accept(io, &server).await {
            Ok(shaken) => Some((Io::Tls(shaken.stream), session(true, shaken.valid_until))),
            Err(Refusal::NotTls(io, early)) => {
                tell("not_tls", "the caller speaks no TLS", peer);
                // Whoever speaks something else could not read an answer.
                if early.first().is_some_and(u8::is_ascii_uppercase) {
                    let _too_late = timeout(FAREWELL, refuse_plain(&io)).await;
                }
                None
            }
            Err(Refusal::Nothing) => None,
            Err(Refusal::Failed { label, why, .. }) => {
                tell(label, &why, peer);
                None
            }
        }
    }
}

impl Session {
    /// Whether it may ask no more: TLS has changed since it began, or its certificate has expired.
    pub fn is_over(&self) -> bool {
        let expired = |until: SystemTime| until <= SystemTime::now();
        self.changes.has_changed().unwrap_or(true) || self.valid_until.is_some_and(expired)
    }

    /// Completes when it may ask no more.
    pub async fn over(&mut self) {
        let left = self.valid_until.map(|until| {
            let left = until.duration_since(SystemTime::now());
            left.unwrap_or_default()
        });
        let expired = async {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.changes.changed() => {}
            () = expired => {}
        }
    }
}

fn tell(label: &'static str, why: &str, peer: Option<SocketAddr>) {
    let group = Group {
        reason: Some(label),
        cause: Some(why.into()),
        ..Group::default()
    };
    if flood::passes(&FAILED, group) {
        let peer = peer.map(tracing::field::display);
        tracing::info!(peer, "{}: {why}", FAILED.message);
    }
}

/// Answers in plain text, and reads what still comes: what the kernel holds unread makes it reset the connection, and
/// the answer may be lost.
async fn refuse_plain(io: &Io) {
    if io.try_write(PLAIN).is_err() || io.shutdown_write().is_err() {
        return;
    }
    let mut unwanted = BytesMut::with_capacity(4 << 10);
    while let Ok(1..) = poll_fn(|cx| io.poll_read(cx, &mut unwanted)).await {
        unwanted.clear();
    }
}
