//! Servers over TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
};
use tokio_rustls::TlsAcceptor;

use super::pki::Leaf;
use super::socket::Socket;
use super::wait::LIMIT;

/// How a server speaks TLS.
#[derive(Clone)]
pub struct TlsServer(Arc<ServerConfig>);

impl TlsServer {
    pub fn showing(leaf: &Leaf) -> TlsServer {
        TlsServer::built(leaf, None, rustls::ALL_VERSIONS)
    }

    /// In TLS 1.2.
    pub fn old(leaf: &Leaf, client_ca: Option<&str>) -> TlsServer {
        TlsServer::built(leaf, client_ca, &[&rustls::version::TLS12])
    }

    /// Wants a certificate of one of these CAs from everybody.
    pub fn asking(leaf: &Leaf, client_ca: &str) -> TlsServer {
        TlsServer::built(leaf, Some(client_ca), rustls::ALL_VERSIONS)
    }

    fn built(
        leaf: &Leaf,
        client_ca: Option<&str>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> TlsServer {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .expect("versions");
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                for der in CertificateDer::pem_slice_iter(ca.as_bytes()) {
                    roots.add(der.expect("PEM")).expect("a CA");
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let config = builder.with_single_cert(leaf.chain(), leaf.private_key());
        TlsServer(Arc::new(config.expect("a pair")))
    }

    /// Takes these protocols (ALPN), the first before the others.
    #[must_use]
    pub fn taking(self, protocols: &[&str]) -> TlsServer {
        let mut config = (*self.0).clone();
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        TlsServer(Arc::new(config))
    }

    /// Shakes hands with one, and sends `bytes` as they are, which are no TLS by these keys; gives back how the peer
    /// ends the connection.
    pub fn breaking(&self, listener: &std::net::TcpListener, bytes: &[u8]) -> io::Error {
        let (socket, _) = listener.accept().expect("a connection");
        let (mut socket, _) = self.accept(socket).expect("a handshake");
        let Socket::Tls(stream, below) = &mut socket else {
            unreachable!("it speaks TLS");
        };
        let limited = below.set_read_timeout(Some(LIMIT));
        limited
            .and_then(|()| below.write_all(bytes))
            .expect("it is connected");
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        ended.expect_err("neither an alert nor a cut")
    }

    /// Shakes hands; gives back what the peer has shown, too.
    pub(super) fn accept(
        &self,
        socket: TcpStream,
    ) -> io::Result<(Socket, Option<CertificateDer<'static>>)> {
        socket.set_read_timeout(Some(LIMIT))?;
        let connection = ServerConnection::new(self.0.clone()).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        let shown = stream
            .conn
            .peer_certificates()
            .and_then(<[_]>::first)
            .cloned();
        stream.sock.set_read_timeout(None)?;
        let socket = stream.sock.try_clone()?;
        Ok((Socket::Tls(Box::new(stream), socket), shown))
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.clone())
    }
}
