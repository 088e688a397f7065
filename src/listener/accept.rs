//! A listener at work: its accept loop on each worker, and the limit on its connections.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::{ArcSwap, ArcSwapOption};
use metrics::{Gauge, gauge};
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, UnixListener};

use super::capacity::{self, LogThrottle};
use super::closing::{self, HANDSHAKE};
use super::redirected::original_destination;
use super::{Checked, Config, ListenAddress, ListenSocket, SocketFile, secure};
use crate::http::peer::{Peer, PeerAddress};
use crate::net::dial;
use crate::net::drain::{Drain, Hold, Ticket};
use crate::net::io::Io;
use crate::tls::callers::{Callers, Presence};
use crate::tls::inbound::Server;
use crate::value::exposition::Metric;

const CONNECTIONS: Metric = Metric::gauge(
    "outrigger_downstream_connections",
    "Connections from callers.",
);

/// What is counted of connections.
pub const METRICS: &[Metric] = &[CONNECTIONS, secure::HANDSHAKES];

/// A listener, as long as its address stays in the config.
pub struct Listener {
    pub name: Arc<str>,
    /// As bound.
    pub address: ListenAddress,
    /// What the config says of it now; a connection takes what it finds when it begins.
    pub config: ArcSwap<Config>,
    tls: ArcSwapOption<Server>,
    callers: Arc<Callers>,
    pub drain: Drain,
    connections: Gauge,
    /// For the warning that callers must wait.
    pub(super) throttle: LogThrottle,
    /// Of a unix socket, until it closes.
    file: Mutex<Option<SocketFile>>,
}

/// A connection that a caller has opened.
pub struct Accepted {
    pub io: Io,
    pub peer: Arc<Peer>,
    pub listener: Arc<Listener>,
    pub ticket: Ticket,
    pub(super) presence: Option<Presence>,
    pub(super) counted: Counted,
}

impl Listener {
    pub fn new(
        name: Arc<str>,
        address: ListenAddress,
        checked: Checked,
        file: Option<SocketFile>,
    ) -> Self {
        let tls = checked.server(None).map(Arc::new);
        let config = checked.config;
        if config.tls.is_some() {
            secure::describe(&name);
        }
        if config.transparent {
            dial::watch_near_ends();
        }
        Listener {
            connections: gauge!(CONNECTIONS.name, "listener" => name.clone()),
            name,
            address,
            tls: ArcSwapOption::from(tls),
            callers: Arc::default(),
            config: ArcSwap::from_pointee(config),
            drain: Drain::default(),
            throttle: LogThrottle::default(),
            file: Mutex::new(file),
        }
    }

    /// Serves by `config` from now on. Callers whom it does not trust any more are asked to end.
    pub fn reconfigure(&self, checked: Checked) {
        self.admit(&checked.config);
        if checked.config.transparent {
            dial::watch_near_ends();
        }
        let old = self.tls.load_full();
        let new = checked.server(old.as_deref()).map(Arc::new);
        let config = checked.config;
        // A connection that begins in between finds TLS, or none, by both of them: see `tls`.
        self.config.store(Arc::new(config));
        self.tls.store(new.clone());
        if old.is_some() {
            self.callers.recall_distrusted(new.as_deref());
        }
    }

    /// Lets connect whom the config says, if it says another than before.
    fn admit(&self, config: &Config) {
        let old = self.config.load();
        if (old.mode, &old.group) != (config.mode, &config.group) {
            let granted = config.access();
            let granted = granted.and_then(|access| access.grant(&self.address));
            if let Err(error) = granted {
                tracing::error!(listener = &*self.name, "{error}");
            }
        }
    }

    /// How TLS is spoken here now.
    pub fn tls(&self) -> Option<Arc<Server>> {
        self.tls.load_full()
    }

    /// Whether somebody is connected who has a certificate.
    pub fn has_known_callers(&self) -> bool {
        !self.callers.is_empty()
    }

    /// Asks callers to end whose certificate has expired.
    pub fn recall_expired(&self) {
        self.callers.recall_expired(SystemTime::now());
    }

    /// From here on nobody new can begin to connect.
    fn take_no_more(&self, socket: &Socket) {
        match socket {
            Socket::Tcp(socket) => closing::ignore_new(socket),
            Socket::Unix(_) => {
                let file = self
                    .file
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                drop(file);
            }
        }
    }
}

/// Accepts connections until the listener drains; then those that are on their way, and ends; so long it holds
/// the drain.
pub async fn accept(
    listener: Arc<Listener>,
    _hold: Hold,
    socket: ListenSocket,
    serve: impl Fn(Accepted),
) {
    let socket = match Socket::new(socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(listener = %listener.name, %error, "the listening socket cannot be used");
            return;
        }
    };
    let serve = |io, address| serve(Accepted::new(io, address, &listener));
    accept_until_drained(&listener, &socket, &serve).await;
    listener.take_no_more(&socket);
    let handshakes = tokio::time::sleep(HANDSHAKE);
    let mut handshakes = std::pin::pin!(handshakes);
    loop {
        tokio::select! {
            accepted = socket.accept() => match accepted {
                Ok((io, address)) => serve(io, address),
                Err(error) => capacity::rest(&listener, error).await,
            },
            () = &mut handshakes => break,
        }
    }
    socket.empty(serve);
}

async fn accept_until_drained(
    listener: &Listener,
    socket: &Socket,
    serve: &impl Fn(Io, PeerAddress),
) {
    let mut drained = std::pin::pin!(listener.drain.started());
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = socket.accept() => accepted,
            () = &mut drained => return,
        };
        match accepted {
            Ok((mut io, address)) => {
                // At the limit the connection waits here, and those behind it in the kernel's queue.
                let begins = tokio::select! {
                    biased;
                    () = capacity::wait(listener, &mut io) => true,
                    () = &mut drained => false,
                };
                serve(io, address);
                if !begins {
                    return;
                }
            }
            Err(error) => capacity::rest(listener, error).await,
        }
    }
}

impl Accepted {
    fn new(io: Io, address: PeerAddress, listener: &Arc<Listener>) -> Self {
        let is_transparent = listener.config.load().transparent;
        let original = is_transparent
            .then(|| original_destination(&io))
            .flatten()
            .map(Box::new);
        Accepted {
            io,
            peer: Arc::new(Peer {
                address,
                listener: listener.name.clone(),
                encrypted: false,
                identity: None,
                source: None,
                original,
            }),
            ticket: listener.drain.ticket(),
            presence: None,
            counted: Counted::new(&listener.connections),
            listener: listener.clone(),
        }
    }

    /// Notes who the caller has proven to be, so that it can be asked to end when that holds no more. `server` let it
    /// in.
    pub(super) fn enter(
        &mut self,
        chain: Vec<CertificateDer<'static>>,
        valid_until: SystemTime,
        server: &Arc<Server>,
    ) {
        let recall = self.ticket.recall();
        let callers = &self.listener.callers;
        self.presence = Some(callers.enter(chain, valid_until, recall));
        let now = self.listener.tls();
        if !now.as_ref().is_some_and(|now| Arc::ptr_eq(now, server)) {
            callers.recall_distrusted(now.as_deref());
        }
    }
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Socket {
    fn new(socket: ListenSocket) -> io::Result<Self> {
        Ok(match socket {
            ListenSocket::Tcp(socket) => Socket::Tcp(TcpListener::from_std(socket)?),
            ListenSocket::Unix(socket) => Socket::Unix(UnixListener::from_std(socket)?),
        })
    }

    /// The next connection. One task waits for it, which costs less than what many could share.
    async fn accept(&self) -> io::Result<(Io, PeerAddress)> {
        match self {
            Socket::Tcp(socket) => {
                let (stream, address) = poll_fn(|cx| socket.poll_accept(cx)).await?;
                Ok((Io::Tcp(stream), PeerAddress::Tcp(address)))
            }
            Socket::Unix(socket) => {
                let (stream, _) = poll_fn(|cx| socket.poll_accept(cx)).await?;
                Ok((Io::Unix(stream), PeerAddress::Unix))
            }
        }
    }

    /// Accepts all who wait, and closes.
    fn empty(self, serve: impl FnMut(Io, PeerAddress)) {
        match self {
            Socket::Tcp(socket) => closing::empty_tcp(socket, serve),
            Socket::Unix(socket) => closing::empty_unix(socket, serve),
        }
    }
}

/// Counts a connection while it lives.
pub(super) struct Counted(Gauge);

impl Counted {
    fn new(connections: &Gauge) -> Self {
        connections.increment(1);
        Counted(connections.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}
