//! What MariaDB and MySQL have to say for themselves among the servers.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::cancel::cancel;
use super::conn::Conn;
use super::error::ServerError;
use super::inspect::inspect;
use super::open::{Way, forget_session, open};
use super::query::Stop;
use super::transaction::{begin, run_all};
use super::url;
use crate::database::config::Prepare;
use crate::database::reach::Address;
use crate::database::server::{self, Answer, Batch, Protocol};
use crate::database::sink::Sink;
use crate::database::url::Encrypted;
use crate::database::{Checked, Client, Inspected, Isolation, Kind, Objection, Statement};
use crate::net::resolve::SystemResolver;

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
        statement_timeout: config.config.statement_timeout.0,
    };
    Some(server::connect(name, &config.config, runtime, way))
}

impl Protocol for Way {
    const KIND: Kind = Kind::MySql;
    type Conn = Conn;
    type Error = ServerError;

    fn addresses(&self) -> &[Address] {
        &self.servers.addresses
    }

    async fn open(&self, address: &Address) -> Result<Conn, String> {
        open(address, self).await
    }

    async fn command(&self, conn: &mut Conn, command: &str) -> Answer<bool, ServerError> {
        let told = conn.command(command).await?;
        Ok(told.map(|_| true))
    }

    async fn begin(
        &self,
        conn: &mut Conn,
        isolation: Option<Isolation>,
    ) -> Answer<(), ServerError> {
        begin(conn, isolation).await
    }

    async fn run(&self, conn: &mut Conn, batch: Batch<'_>, sink: Sink<'_>) -> Answer<u64, Stop> {
        run_all(conn, self, batch, sink).await
    }

    async fn stop(&self, conn: &mut Conn) {
        cancel(conn, self).await;
    }

    async fn forget_session(&self, conn: &mut Conn) -> bool {
        forget_session(conn, self).await
    }

    async fn inspect(
        &self,
        conn: &mut Conn,
        statement: &Statement,
        until: Instant,
    ) -> Result<Inspected, Objection> {
        inspect(conn, self, statement, until).await
    }
}
