//! From a server's name to a connection with it.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Uri;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::Service;

use super::Url;
use super::failure::Failure;
use super::socket::Socket;
use crate::net::resolve::{Known, Resolve};
use crate::tls::handshake;
use crate::tls::outbound::Client;

/// The longest that finding and reaching the server may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Connects to one server.
#[derive(Clone)]
pub(super) struct Connector {
    pub resolver: Arc<dyn Resolve>,
    pub url: Url,
    /// Weak, so that what a config has opened goes with it. Whoever calls holds it meanwhile.
    pub tls: Option<Weak<Client>>,
}

impl Service<Uri> for Connector {
    type Response = Socket;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Socket, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    /// There is one server, whose URL is known.
    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            match timeout(CONNECT, connector.connect()).await {
                Ok(connected) => Ok(connected?),
                Err(_) => Err(Failure::Settled(format!(
                    "`{}` was not reached within {CONNECT:?}",
                    connector.url.authority()
                ))),
            }
        })
    }
}

impl Connector {
    /// Shakes hands as well, where the URL is one with TLS.
    async fn connect(&self) -> Result<Socket, Failure> {
        let socket = self.reach().await?;
        if !self.url.is_encrypted() {
            return Ok(Socket::new(socket));
        }
        let Some(client) = self.tls.as_ref().and_then(Weak::upgrade) else {
            let message = format!("`{}` is not called without TLS", self.url.authority());
            return Err(Failure::Settled(message));
        };
        let server = self.url.server();
        let shaken = handshake::call(socket, &client, &server).await;
        let failed = |why| format!("the TLS handshake with `{server}` failed: {why}");
        let encrypted = shaken.map_err(|why| Failure::Settled(failed(why)))?;
        Ok(Socket::new(encrypted))
    }

    async fn reach(&self) -> Result<TcpStream, Failure> {
        let url = &self.url;
        let addresses = match url.host().parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => {
                let found = self.resolver.addresses(url.host(), Known::default()).await;
                let unknown = |error| format!("`{}` cannot be resolved: {error}", url.host());
                let found = found.map_err(|error| Failure::Settled(unknown(error)))?;
                found.what.all()
            }
        };
        let addresses: Vec<SocketAddr> = addresses
            .into_iter()
            .map(|address| SocketAddr::new(address, url.port()))
            .collect();
        let unreached = |error| format!("`{}` cannot be reached: {error}", url.authority());
        let stream = TcpStream::connect(&addresses[..]).await;
        stream.map_err(|error| Failure::Unreached(unreached(error)))
    }
}
