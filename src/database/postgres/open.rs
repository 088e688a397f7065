//! From a URL to a connection that is logged in.

use std::sync::Arc;

use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use super::conn::{Conn, LONGEST};
use super::error::ServerError;
use super::login::Login;
use super::prepared::Prepared;
use super::url::Servers;
use crate::database::reach::{Address, connect};
use crate::database::server::Connection;
use crate::database::url::Encrypted;
use crate::net::resolve::Resolve;
use crate::tls::{self, outbound};

/// Where and how to connect.
pub(super) struct Way {
    pub servers: Servers,
    pub tls: Option<Arc<outbound::Client>>,
    pub resolver: Arc<dyn Resolve>,
    /// Whether statements are prepared where the server itself answers.
    pub prepares: bool,
}

/// A connection that is logged in. Says why there is none, for operators.
pub(super) async fn open(address: &Address, way: &Way) -> Result<Conn, String> {
    let mut conn = reach(address, way).await?;
    let own = [
        ("user", way.servers.user.as_str()),
        ("database", way.servers.database.as_str()),
        ("client_encoding", "UTF8"),
        // So that times have one form.
        ("DateStyle", "ISO"),
        ("TimeZone", "UTC"),
    ];
    let given = &way.servers.parameters;
    let name = ("application_name", "outrigger");
    let is_named = given.iter().any(|(given, _)| given == name.0);
    let given = given
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let all = own
        .into_iter()
        .chain((!is_named).then_some(name))
        .chain(given);
    frontend::startup_message(all, &mut conn.write).map_err(|error| error.to_string())?;
    conn.awaited = 1;
    sent(&mut conn).await?;
    log_in(&mut conn, way).await?;
    look_around(&mut conn, way).await?;
    conn.rest();
    Ok(conn)
}

/// A connection on which nothing was said yet, but for the handshake of TLS.
pub(super) async fn reach(address: &Address, way: &Way) -> Result<Conn, String> {
    let io = connect(address, &*way.resolver).await?;
    let mut conn = Conn::new(io, address);
    let Some(client) = &way.tls else {
        return Ok(conn);
    };
    if let Address::Unix(_) = address {
        return if way.servers.encrypted == Encrypted::Always {
            Err("TLS is wanted, and PostgreSQL speaks none on a unix socket".to_owned())
        } else {
            Ok(conn)
        };
    }
    frontend::ssl_request(&mut conn.write);
    sent(&mut conn).await?;
    // What comes behind it in the clear is not taken.
    match conn.link.byte().await.map_err(|broken| broken.words())? {
        b'S' => {
            let io = conn.link.into_io();
            // Whoever offers the protocols of HTTP is refused since PostgreSQL 17.
            let shaken = tls::handshake::connect_raw(io, client, &address.shown()).await?;
            Ok(Conn::new(shaken, address))
        }
        b'N' => Err("the server speaks no TLS, which is wanted".to_owned()),
        _ => Err("the server does not speak PostgreSQL's protocol".to_owned()),
    }
}

/// Answers the server's questions until it is ready.
async fn log_in(conn: &mut Conn, way: &Way) -> Result<(), String> {
    let servers = &way.servers;
    let is_private = way.tls.is_some() || conn.address.is_near();
    let mut login = Login::new(&servers.user, servers.password.as_deref(), is_private);
    loop {
        match conn
            .message(LONGEST)
            .await
            .map_err(|broken| broken.words())?
        {
            Message::BackendKeyData(body) => {
                conn.key = Some((body.process_id(), body.secret_key()));
            }
            Message::ParameterStatus(body) => {
                if let (Ok("server_version"), Ok(version)) = (body.name(), body.value()) {
                    conn.version = version.to_owned();
                }
            }
            Message::ErrorResponse(body) => return Err(ServerError::read(&body).in_words()),
            Message::ReadyForQuery(body) => {
                conn.ready(&body);
                return Ok(());
            }
            question => login.answer(&question, &mut conn.write)?,
        }
        if !conn.write.is_empty() {
            sent(conn).await?;
        }
    }
}

/// Finds out whether the server that answers is the one that was connected to, and whether it takes writes.
async fn look_around(conn: &mut Conn, way: &Way) -> Result<(), String> {
    if !way.prepares && !way.servers.must_write {
        return Ok(());
    }
    let question = "select pg_catalog.pg_backend_pid(), pg_catalog.pg_is_in_recovery()";
    frontend::query(question, &mut conn.write).map_err(|error| error.to_string())?;
    conn.awaited = 1;
    sent(conn).await?;
    let mut row = None;
    loop {
        match conn
            .message(LONGEST)
            .await
            .map_err(|broken| broken.words())?
        {
            Message::DataRow(body) => row = super::row::values(&body),
            Message::ErrorResponse(body) => return Err(ServerError::read(&body).in_words()),
            Message::ReadyForQuery(body) => {
                conn.ready(&body);
                break;
            }
            _ => {}
        }
    }
    let mut row = row.unwrap_or_default().into_iter();
    let (process, recovers) = (row.next().flatten(), row.next().flatten());
    if way.servers.must_write && recovers.as_deref() != Some(b"f") {
        return Err("this server takes no writes".to_owned());
    }
    let process = process.and_then(|text| std::str::from_utf8(&text).ok()?.parse::<i32>().ok());
    let is_same = process.is_some() && process == conn.key.map(|(process, _)| process);
    conn.is_pooled = !is_same;
    if way.prepares && is_same {
        conn.prepared = Some(Prepared::default());
    }
    Ok(())
}

async fn sent(conn: &mut Conn) -> Result<(), String> {
    conn.send().await.map_err(|broken| broken.words())
}
