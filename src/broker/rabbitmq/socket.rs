//! A connection with a broker before AMQP is spoken on it, encrypted by this house where the URL wants that.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use async_rs::{Runtime, Tokio};
use rustix::net::Shutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

use super::url::Address;
use crate::net::resolve::{Known, Resolve};
use crate::tls::outbound::Client;
use crate::tls::words;

/// A stream, and by what its end is known.
pub(super) struct Opened {
    pub stream: Stream,
    pub cut: Cut,
    pub end: End,
}

/// Connects to `address`, and shakes hands by `tls`.
///
/// # Errors
/// Why not, in a sentence.
pub(super) async fn open(
    address: &Address,
    tls: Option<&Arc<Client>>,
    resolver: &dyn Resolve,
) -> Result<Opened, String> {
    let shown = address.shown();
    let addresses = match address.host.parse::<IpAddr>() {
        Ok(ip) => vec![ip],
        Err(_) => {
            let found = resolver.addresses(&address.host, Known::default()).await;
            let found = found.map_err(|error| format!("`{shown}` cannot be resolved: {error}"))?;
            found.what.all()
        }
    };
    let addresses: Vec<SocketAddr> = addresses
        .into_iter()
        .map(|ip| SocketAddr::new(ip, address.port()))
        .collect();
    let unreached = |error| format!("`{shown}` cannot be reached: {error}");
    let socket = TcpStream::connect(&addresses[..])
        .await
        .map_err(unreached)?;
    socket.set_nodelay(true).map_err(unreached)?;
    let cut = Cut(socket.as_fd().try_clone_to_owned().map_err(unreached)?);
    let io: Box<dyn Io> = match tls {
        None => Box::new(socket),
        Some(client) => {
            let name = client.name_of(&shown)?;
            let connector = TlsConnector::from(client.offering_nothing());
            let shaken = connector.connect(name, socket).await;
            Box::new(shaken.map_err(|error| {
                format!(
                    "the TLS handshake with `{shown}` failed: {}",
                    words::of(&error)
                )
            })?)
        }
    };
    let (alive, end) = watch::channel(());
    Ok(Opened {
        stream: Stream { io, _alive: alive },
        cut,
        end: End(end),
    })
}

/// By which a connection can be broken off, whatever its library waits for.
pub(super) struct Cut(OwnedFd);

impl Cut {
    pub fn cut(&self) {
        // It fails when the other side was faster.
        let _gone = rustix::net::shutdown(&self.0, Shutdown::Both);
    }
}

/// When a stream has ended.
#[derive(Clone)]
pub(super) struct End(watch::Receiver<()>);

impl End {
    /// Completes when nothing more comes or goes.
    pub async fn reached(&self) {
        let mut alive = self.0.clone();
        while alive.changed().await.is_ok() {}
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Io for S {}

/// A stream as lapin reads it and writes to it.
pub(super) struct Stream {
    io: Box<dyn Io>,
    /// Goes with it.
    _alive: watch::Sender<()>,
}

impl futures_io::AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(into);
        Pin::new(&mut self.get_mut().io)
            .poll_read(cx, &mut into)
            .map_ok(|()| into.filled().len())
    }
}

impl futures_io::AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// tokio, whose connections are [`Stream`]s: lapin takes no others than those of its runtime.
#[derive(Clone)]
pub(super) struct Kit(Tokio);

impl Kit {
    pub fn on(runtime: &Handle) -> Runtime<Kit> {
        Runtime::new(Kit(Tokio::default().with_handle(runtime.clone())))
    }
}

impl fmt::Debug for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kit")
    }
}

impl RuntimeKit for Kit {}

impl Executor for Kit {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.0.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        future: F,
    ) -> Task<Self::Task<T>> {
        self.0.spawn(future)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        call: F,
    ) -> Task<Self::Task<T>> {
        self.0.spawn_blocking(call)
    }
}

impl Reactor for Kit {
    type TcpStream = Stream;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl futures_io::AsyncRead + futures_io::AsyncWrite + Send + Unpin + 'static>
    {
        self.0.register(socket)
    }

    fn sleep(&self, time: Duration) -> Self::Sleep {
        self.0.sleep(time)
    }

    fn interval(
        &self,
        time: Duration,
    ) -> impl futures_util::Stream<Item = Instant> + Send + 'static {
        self.0.interval(time)
    }

    /// Nobody asks: connections are made above.
    fn tcp_connect_addr(
        &self,
        _: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
