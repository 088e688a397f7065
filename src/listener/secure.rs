//! From a connection to an encrypted one.

use std::sync::Arc;

use bytes::BytesMut;
use metrics::counter;

use super::Accepted;
use crate::http::peer::Peer;
use crate::net::io::Io;
use crate::telemetry::flood::{self, Group, Kind};
use crate::tls::handshake::{self, Refusal};
use crate::tls::inbound::Server;
use crate::value::exposition::Metric;

pub const HANDSHAKES: Metric = Metric::counter(
    "outrigger_tls_handshakes_total",
    "TLS handshakes with callers, by what came of them.",
);

static FAILED: Kind = Kind {
    message: "a TLS handshake failed",
    severe: false,
    first: 10,
};

/// What came of a handshake.
pub enum Secured {
    /// And the protocol that both agreed on (ALPN).
    Yes(Accepted, Option<Vec<u8>>),
    /// The caller speaks no TLS, and began with these bytes.
    Plain(Accepted, BytesMut),
    /// The connection is over.
    No,
}

/// Counts handshakes from 0, so that the first failure shows as one.
pub(super) fn describe(listener: &str) {
    count(listener, "ok", 0);
}

fn count(listener: &str, result: &'static str, by: u64) {
    counter!(HANDSHAKES.name, "listener" => listener.to_owned(), "result" => result).increment(by);
}

impl Accepted {
    /// Shakes hands as `server` says. What goes wrong is logged with all that is known of it; a remote caller learns
    /// no more than TLS itself tells.
    pub async fn secure(self, server: &Arc<Server>) -> Secured {
        let Accepted {
            io,
            peer,
            listener,
            ticket,
            presence,
            counted,
        } = self;
        let with = |io: Io, peer: Arc<Peer>| Accepted {
            io,
            peer,
            listener: listener.clone(),
            ticket,
            presence,
            counted,
        };
        match handshake::accept(io, server).await {
            Ok(shaken) => {
                count(&listener.name, "ok", 1);
                let peer = Peer {
                    address: peer.address,
                    listener: peer.listener.clone(),
                    encrypted: true,
                    identity: shaken.identity,
                    source: None,
                    original: peer.original.clone(),
                };
                let peer = Arc::new(peer);
                shaken.stream.belongs_to(&peer);
                let mut accepted = with(Io::Tls(shaken.stream), peer);
                if let Some(valid_until) = shaken.valid_until {
                    accepted.enter(shaken.chain, valid_until, server);
                }
                Secured::Yes(accepted, shaken.protocol)
            }
            Err(Refusal::NotTls(io, early)) => {
                count(&listener.name, "not_tls", 1);
                Secured::Plain(with(io, peer), early)
            }
            Err(Refusal::Nothing) => Secured::No,
            Err(Refusal::Failed {
                label,
                why,
                server_name,
            }) => {
                count(&listener.name, label, 1);
                let group = Group {
                    listener: Some(listener.name.clone()),
                    reason: Some(label),
                    cause: Some(why.to_string().into()),
                    ..Group::default()
                };
                if flood::passes(&FAILED, group) {
                    tracing::info!(
                        listener = %listener.name,
                        peer = %peer.address,
                        server_name,
                        "{}: {why}", FAILED.message
                    );
                }
                Secured::No
            }
        }
    }
}
