//! Callers over TLS.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use super::client::Client;
use super::h2_client::H2Client;
use super::pki::Leaf;
use super::socket::Socket;
use super::wait::LIMIT;

/// How to connect over TLS.
#[derive(Clone)]
pub struct TlsClient {
    config: ClientConfig,
    name: String,
}

/// A connection whose handshake is over, before anything was sent over it.
pub struct Shaken {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl TlsClient {
    /// Trusts the CAs of this bundle, and asks for `localhost`.
    pub fn trusting(ca: &str) -> TlsClient {
        TlsClient::built(ca, None, rustls::ALL_VERSIONS)
    }

    fn built(
        ca: &str,
        leaf: Option<&Leaf>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> TlsClient {
        let mut roots = RootCertStore::empty();
        for der in CertificateDer::pem_slice_iter(ca.as_bytes()) {
            roots.add(der.expect("PEM")).expect("a CA");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match leaf {
            Some(leaf) => builder
                .with_client_auth_cert(leaf.chain(), leaf.private_key())
                .expect("a pair"),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(16);
        TlsClient {
            config,
            name: "localhost".to_owned(),
        }
    }

    /// Trusts `ca`, and shows `leaf`.
    pub fn with_certificate(ca: &str, leaf: &Leaf) -> TlsClient {
        TlsClient::built(ca, Some(leaf), rustls::ALL_VERSIONS)
    }

    /// The same, in TLS 1.2.
    pub fn old(ca: &str, leaf: Option<&Leaf>) -> TlsClient {
        TlsClient::built(ca, leaf, &[&rustls::version::TLS12])
    }

    /// Resumes nothing.
    #[must_use]
    pub fn anew(mut self) -> TlsClient {
        self.config.resumption = Resumption::disabled();
        self
    }

    /// Asks for this name.
    #[must_use]
    pub fn name(mut self, name: &str) -> TlsClient {
        self.name = name.to_owned();
        self
    }

    /// Offers these protocols (ALPN).
    #[must_use]
    pub fn offering(mut self, protocols: &[&str]) -> TlsClient {
        self.config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        self
    }

    /// Shakes hands to the end, and reads on until the server has had its say about our certificate: in TLS 1.3 it
    /// may refuse after our side is done, but what it sends first, a session ticket, comes only if it does not.
    pub fn shake(&self, address: SocketAddr) -> io::Result<Shaken> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(LIMIT))?;
        let name = ServerName::try_from(self.name.clone()).expect("a name");
        let connection =
            ClientConnection::new(Arc::new(self.config.clone()), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        if stream.conn.wants_write() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        if stream.conn.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3)
            && stream.conn.tls13_tickets_received() == 0
        {
            stream.conn.read_tls(&mut stream.sock)?;
            stream
                .conn
                .process_new_packets()
                .map_err(io::Error::other)?;
        }
        Ok(Shaken { stream })
    }

    /// An HTTP/1.1 connection.
    pub fn connect(&self, address: SocketAddr) -> Client {
        self.shake(address).expect("a TLS handshake").http1()
    }

    /// An HTTP/2 connection.
    pub fn http2(&self, address: SocketAddr) -> H2Client {
        let client = self.clone().offering(&["h2"]);
        let connector = tokio_rustls::TlsConnector::from(Arc::new(client.config));
        let name = ServerName::try_from(client.name).expect("a name");
        H2Client::over(async move {
            let socket = tokio::net::TcpStream::connect(address)
                .await
                .expect("the listener accepts");
            connector
                .connect(name, socket)
                .await
                .expect("a TLS handshake")
        })
    }
}

impl Shaken {
    pub fn http1(self) -> Client {
        let socket = self.stream.sock.try_clone().expect("a connected socket");
        Client::new(Socket::Tls(Box::new(self.stream), socket))
    }

    /// Sends `data`, and behind it `bytes` as they are, which are no TLS by these keys; gives back how the server ends the
    /// connection.
    pub fn broken_by(mut self, data: &[u8], bytes: &[u8]) -> io::Error {
        let sent = self
            .stream
            .write_all(data)
            .and_then(|()| self.stream.flush());
        sent.expect("the connection is good");
        self.stream.sock.write_all(bytes).expect("it is connected");
        let mut rest = Vec::new();
        let ended = self.stream.read_to_end(&mut rest);
        ended.expect_err("neither an alert nor a cut")
    }

    /// The protocol that the server chose (ALPN).
    pub fn protocol(&self) -> Option<String> {
        let protocol = self.stream.conn.alpn_protocol();
        protocol.map(|name| String::from_utf8_lossy(name).into_owned())
    }

    /// What the server has shown, the leaf first.
    pub fn shown(&self) -> &[CertificateDer<'static>] {
        self.stream.conn.peer_certificates().unwrap_or_default()
    }

    pub fn was_resumed(&self) -> bool {
        self.stream.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    pub fn key_exchange(&self) -> String {
        let group = self.stream.conn.negotiated_key_exchange_group();
        format!("{:?}", group.expect("a key exchange").name())
    }
}
