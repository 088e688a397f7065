//! From a connected socket to an encrypted stream.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::SystemTime;

use bytes::BytesMut;
use http::HeaderValue;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConnection};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate::{Certificate, hex};
use super::inbound::Server;
use super::outbound::{Client, Offer};
use super::stream::Stream;
use super::words;
use crate::http::peer::Identity;
use crate::net::buffer;
use crate::net::io::{Encrypted as _, Io};
use crate::{process, value};

/// A caller that has shaken hands.
pub struct Accepted {
    pub stream: Box<Stream>,
    /// The protocol that both agreed on (ALPN).
    pub protocol: Option<Vec<u8>>,
    pub identity: Option<Identity>,
    /// What proved it, the leaf first, and since when it does no more.
    pub chain: Vec<CertificateDer<'static>>,
    pub valid_until: Option<SystemTime>,
}

/// Why there is no encrypted connection.
pub enum Refusal {
    /// The caller speaks something else, and began like this.
    NotTls(Io, BytesMut),
    /// The caller went away before it sent anything, as those do who only try the port.
    Nothing,
    Failed {
        /// For metrics.
        label: &'static str,
        /// In words.
        why: String,
        /// The name that the caller asked for.
        server_name: Option<String>,
    },
}

/// The first byte of a TLS connection: a handshake record (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// Shakes hands with a caller.
pub async fn accept(io: Io, server: &Server) -> Result<Accepted, Refusal> {
    let connection = ServerConnection::new(server.rustls.clone())
        .map_err(|error| failed(&io::Error::other(error), None))?;
    let deadline = Instant::now() + server.handshake_timeout;
    let first = match timeout_at(deadline, read(&io)).await {
        Ok(Ok(first)) if first.first().is_some_and(|byte| *byte != HANDSHAKE) => {
            return Err(Refusal::NotTls(io, first));
        }
        Ok(Ok(first)) if !first.is_empty() => first,
        Ok(_) => return Err(Refusal::Nothing),
        Err(_) => return Err(too_slow(server, None)),
    };
    let stream = Stream::new(io, Connection::Server(connection));
    let shaken = timeout_at(deadline, shake(&stream, Some(first))).await;
    let server_name = || {
        stream.ask(|connection| match connection {
            Connection::Server(server) => server.server_name().map(str::to_owned),
            Connection::Client(_) => None,
        })
    };
    match shaken {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(failed(&error, server_name())),
        Err(_) => return Err(too_slow(server, server_name())),
    }
    let (protocol, chain) = facts(&stream);
    let mut accepted = Accepted {
        stream: Box::new(stream),
        protocol,
        identity: None,
        chain,
        valid_until: None,
    };
    if let Some(leaf) = accepted.chain.first() {
        let certificate = Certificate::parse(leaf).map_err(|why| Refusal::Failed {
            label: "bad_certificate",
            why: format!("the caller showed {why}"),
            server_name: None,
        })?;
        // Whoever resumes shows no certificate: what it showed once may have expired since.
        if certificate.ends() <= SystemTime::now() {
            return Err(Refusal::Failed {
                label: "expired",
                why: format!("the certificate of {} has expired", certificate.names()),
                server_name: None,
            });
        }
        let mut identity = certificate.identity();
        if server.forward_client_cert
            && let Some(header) = forwarded(leaf, &certificate)
        {
            identity = identity.with_header(header);
        }
        accepted.identity = Some(identity);
        accepted.valid_until = Some(certificate.ends());
    }
    Ok(accepted)
}

/// An upstream that has shaken hands.
pub struct Connected {
    pub io: Io,
    /// The protocol that both agreed on (ALPN).
    pub protocol: Option<Vec<u8>>,
    /// Since when a certificate of either side is not valid any more.
    pub valid_until: Option<SystemTime>,
}

/// Shakes hands with the endpoint that was configured as `endpoint`, `host:port`.
///
/// # Errors
/// Why not, in words for an operator.
pub async fn connect(
    io: Io,
    client: &Client,
    endpoint: &str,
    offer: Offer,
) -> Result<Connected, String> {
    let stream = begin(io, client.rustls(offer).clone(), client, endpoint).await?;
    let (protocol, chain) = facts(&stream);
    let theirs = chain.first().and_then(|leaf| Certificate::parse(leaf).ok());
    let valid_until = [theirs.map(|leaf| leaf.ends()), client.valid_until()];
    Ok(Connected {
        io: Io::Tls(Box::new(stream)),
        protocol,
        valid_until: valid_until.into_iter().flatten().min(),
    })
}

/// The same for a protocol that is no HTTP: no protocol is offered.
///
/// # Errors
/// As [`connect`].
pub async fn connect_raw(io: Io, client: &Client, endpoint: &str) -> Result<Io, String> {
    let stream = begin(io, client.offering_nothing(), client, endpoint).await?;
    Ok(Io::Tls(Box::new(stream)))
}

async fn begin(
    io: Io,
    config: Arc<ClientConfig>,
    client: &Client,
    endpoint: &str,
) -> Result<Stream, String> {
    let name = client.name_of(endpoint)?;
    let connection = ClientConnection::new(config, name).map_err(|error| error.to_string())?;
    let stream = Stream::new(io, Connection::Client(connection));
    shake(&stream, None)
        .await
        .map_err(|error| words::of(&error))?;
    Ok(stream)
}

/// The same for a call of our own, by tokio-rustls: what costs memory on the way of requests does not matter there.
///
/// # Errors
/// As [`connect`].
pub async fn call(
    socket: TcpStream,
    client: &Client,
    endpoint: &str,
) -> Result<TlsStream<TcpStream>, String> {
    let name = client.name_of(endpoint)?;
    let connector = TlsConnector::from(client.rustls(Offer::Http1).clone());
    let shaken = connector.connect(name, socket).await;
    shaken.map_err(|error| words::of(&error))
}

/// What both agreed on, and what the peer has shown.
fn facts(stream: &Stream) -> (Option<Vec<u8>>, Vec<CertificateDer<'static>>) {
    stream.ask(|connection| {
        let protocol = connection.alpn_protocol().map(<[u8]>::to_vec);
        let chain = connection.peer_certificates().unwrap_or_default();
        (
            protocol,
            chain.iter().map(|der| der.clone().into_owned()).collect(),
        )
    })
}

/// Goes through the handshake to its end.
async fn shake(stream: &Stream, mut arrived: Option<BytesMut>) -> io::Result<()> {
    loop {
        if let Some(arrived) = arrived.take() {
            let turn = turn().await;
            stream.take_in(arrived)?;
            // Whoever is connected already goes before the next one who is not.
            tokio::task::yield_now().await;
            drop(turn);
        }
        poll_fn(|cx| stream.poll_send(cx)).await?;
        if !stream.ask(|connection| connection.is_handshaking()) {
            return Ok(());
        }
        let more = read(stream.socket()).await?;
        if more.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        arrived = Some(more);
    }
}

/// The right to a step of a handshake, which costs as much as serving a hundred requests: each worker takes one
/// step in one turn of its event loop, so that many who connect do not hold up those who are connected. Whoever is
/// slow to send holds nothing meanwhile.
async fn turn() -> Option<SemaphorePermit<'static>> {
    static TURNS: OnceLock<Box<[Semaphore]>> = OnceLock::new();
    let turns = TURNS.get_or_init(|| {
        (0..process::worker_count())
            .map(|_| Semaphore::new(1))
            .collect()
    });
    turns.get(process::current_worker())?.acquire().await.ok()
}

/// Waits without a buffer, and reads once; nothing is the end of the stream.
async fn read(io: &Io) -> io::Result<BytesMut> {
    poll_fn(|cx| {
        loop {
            std::task::ready!(io.poll_read_ready(cx))?;
            let mut arrived = buffer::take_read();
            match io.poll_read(cx, &mut arrived) {
                Poll::Ready(Ok(_)) => return Poll::Ready(Ok(arrived)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => buffer::give_read(arrived),
            }
        }
    })
    .await
}

fn failed(error: &io::Error, server_name: Option<String>) -> Refusal {
    Refusal::Failed {
        label: words::label(error),
        why: words::of(error),
        server_name,
    }
}

fn too_slow(server: &Server, server_name: Option<String>) -> Refusal {
    Refusal::Failed {
        label: "timeout",
        why: format!(
            "the handshake took longer than {}",
            value::Duration(server.handshake_timeout)
        ),
        server_name,
    }
}

/// The value of `x-forwarded-client-cert`, in the form that Envoy gave it.
fn forwarded(leaf: &CertificateDer<'_>, certificate: &Certificate) -> Option<HeaderValue> {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, leaf);
    let mut value = format!("Hash={};Subject=", hex(digest.as_ref()));
    push_quoted(&mut value, &certificate.subject);
    for (key, names) in [("URI", &certificate.uris), ("DNS", &certificate.dns)] {
        for name in names {
            let plain = name
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b";,=\"\\".contains(&b));
            let _infallible = write!(value, ";{key}=");
            if plain {
                value.push_str(name)
            } else {
                push_quoted(&mut value, name)
            }
        }
    }
    HeaderValue::from_bytes(value.as_bytes()).ok()
}

fn push_quoted(value: &mut String, text: &str) {
    value.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            value.push('\\');
        }
        value.push(c);
    }
    value.push('"');
}
