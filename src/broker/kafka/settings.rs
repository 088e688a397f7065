//! How a cluster is connected to.

use std::time::Duration;

use krafka::auth::{AuthConfig, TlsConfig};
use krafka::{Kafka, KrafkaError};

use super::url::{Address, Login, Mechanism};
use crate::tls::outbound;

/// The longest that a request waits for its answer.
const REQUEST: Duration = Duration::from_secs(10);
/// The shortest and the longest time that a broker may be told to wait for a member of a group that says nothing.
const SESSION: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(300));

/// How a cluster is connected to. It has no `Debug`: it holds a password.
pub(super) struct Settings {
    servers: String,
    auth: AuthConfig,
    connect_timeout: Duration,
    heartbeat: Duration,
}

impl Settings {
    /// `tls` is None where none is spoken.
    pub fn new(
        address: Address,
        tls: Option<&outbound::Config>,
        connect_timeout: Duration,
        heartbeat: Duration,
    ) -> Self {
        let auth = address.login.map_or_else(AuthConfig::plaintext, by_login);
        let auth = match tls {
            Some(tls) => auth.with_tls(by_files(tls)),
            None => auth,
        };
        Settings {
            servers: address.servers,
            auth,
            connect_timeout,
            heartbeat,
        }
    }

    /// A connection for publishing and asking. `name` tells the broker who this is.
    ///
    /// # Errors
    /// When no broker answers, or none lets this one in.
    pub async fn connect(&self, name: &str) -> Result<Kafka, KrafkaError> {
        self.connect_for(name, REQUEST).await
    }

    /// A connection for a member of a group. It is one of its own, as a broker answers one request of a connection after the
    /// other, and waits for messages before it answers.
    ///
    /// # Errors
    /// When no broker answers, or none lets this one in.
    pub async fn connect_member(&self, name: &str) -> Result<Kafka, KrafkaError> {
        // Joining waits for all others, which takes as long as one that is gone may be silent.
        self.connect_for(name, self.session() + REQUEST).await
    }

    /// How long a member of a group may be silent before others take its place.
    pub fn session(&self) -> Duration {
        self.heartbeat.clamp(SESSION.0, SESSION.1)
    }

    /// The longest that a question may take, all its tries included.
    pub fn ask(&self) -> Duration {
        self.connect_timeout
    }

    async fn connect_for(&self, name: &str, request: Duration) -> Result<Kafka, KrafkaError> {
        let builder = Kafka::builder(self.servers.clone())
            .client_id(name)
            .security(self.auth.clone())
            .connect_timeout(self.connect_timeout)
            .request_timeout(request.max(self.connect_timeout))
            .allow_auto_create_topics(false);
        let limit = self.connect_timeout * 2;
        match tokio::time::timeout(limit, Box::pin(builder.connect())).await {
            Ok(connected) => connected,
            Err(_) => Err(KrafkaError::timeout("connecting")),
        }
    }
}

fn by_login(login: Login) -> AuthConfig {
    match login.mechanism {
        Mechanism::Plain => AuthConfig::sasl_plain(login.user, login.password),
        Mechanism::ScramSha256 => AuthConfig::sasl_scram_sha256(login.user, login.password),
        Mechanism::ScramSha512 => AuthConfig::sasl_scram_sha512(login.user, login.password),
    }
}

fn by_files(tls: &outbound::Config) -> TlsConfig {
    let config = match &tls.ca {
        Some(ca) => TlsConfig::new().with_ca_cert(ca.path().to_string_lossy()),
        None => TlsConfig::new().with_native_roots(),
    };
    let config = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => {
            let (cert, key) = (cert.path().to_string_lossy(), key.path().to_string_lossy());
            config.with_client_cert(cert, key)
        }
        _ => config,
    };
    match &tls.server_name {
        Some(name) => config.with_sni_hostname(name),
        None => config,
    }
}
