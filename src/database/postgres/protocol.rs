//! What PostgreSQL has to say for itself among the servers.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::cancel::end;
use super::conn::Conn;
use super::error::ServerError;
use super::inspect::inspect;
use super::listen::listen;
use super::open::{Way, open};
use super::query::{Stop, run};
use super::{url, wire};
use crate::database::config::Prepare;
use crate::database::reach::Address;
use crate::database::server::{self, Answer, Batch, Connection, Protocol};
use crate::database::sink::Sink;
use crate::database::url::Encrypted;
use crate::database::{
    Checked, Client, Failure, Inspected, Isolation, Kind, Listening, Objection, Statement,
};
use crate::net::resolve::SystemResolver;

/// How long the server may take to forget what it has prepared.
const LIMIT: Duration = Duration::from_secs(2);

/// A client, which connects when something is to be run.
pub(in crate::database) fn connect(
    name: &str,
    config: &Checked,
    runtime: &Handle,
) -> Option<Arc<dyn Client>> {
    let servers = url::parse(config.url()).ok()?;
    let tls = config
        .tls()
        .filter(|_| servers.encrypted != Encrypted::Never);
    let way = Way {
        servers,
        tls: tls.cloned(),
        resolver: Arc::new(SystemResolver::new()),
        prepares: config.config.prepare == Prepare::Auto,
    };
    Some(server::connect(name, &config.config, runtime, way))
}

impl Protocol for Way {
    const KIND: Kind = Kind::Postgres;
    type Conn = Conn;
    type Error = ServerError;

    fn addresses(&self) -> &[Address] {
        &self.servers.addresses
    }

    async fn open(&self, address: &Address) -> Result<Conn, String> {
        open(address, self).await
    }

    /// The server says `ROLLBACK` to a `COMMIT` behind a statement that failed.
    async fn command(&self, conn: &mut Conn, command: &str) -> Answer<bool, ServerError> {
        let word = command.split(' ').next();
        let told = conn.command(command).await?;
        Ok(told.map(|tag| Some(tag.as_str()) == word))
    }

    async fn begin(
        &self,
        conn: &mut Conn,
        isolation: Option<Isolation>,
    ) -> Answer<(), ServerError> {
        let told = conn.command(&wire::begin(isolation)).await?;
        Ok(told.map(drop))
    }

    async fn run(&self, conn: &mut Conn, batch: Batch<'_>, sink: Sink<'_>) -> Answer<u64, Stop> {
        run(conn, self, batch, sink).await
    }

    async fn stop(&self, conn: &mut Conn) {
        end(conn, self).await;
    }

    async fn forget_session(&self, conn: &mut Conn) -> bool {
        if let Some(prepared) = &mut conn.prepared {
            prepared.clear();
        }
        matches!(conn.command("DISCARD ALL").await, Ok(Ok(_)))
    }

    async fn forget_plans(&self, conn: &mut Conn, error: &ServerError) -> bool {
        let Some(prepared) = conn.prepared.as_mut().filter(|_| error.is_stale_plan()) else {
            return false;
        };
        prepared.clear();
        conn.set_deadline(Instant::now() + LIMIT);
        matches!(conn.command("DEALLOCATE ALL").await, Ok(Ok(_)))
    }

    async fn inspect(
        &self,
        conn: &mut Conn,
        statement: &Statement,
        until: Instant,
    ) -> Result<Inspected, Objection> {
        inspect(conn, self, statement, until).await
    }

    async fn listen(
        open: impl Future<Output = Result<Conn, Failure>> + Send,
        channels: &[String],
        limit: Duration,
    ) -> Result<Box<dyn Listening>, Failure> {
        listen(open.await?, channels, limit).await
    }
}
