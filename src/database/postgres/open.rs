//! From a URL to a connection that is logged in.

use std::sync::Arc;

use super::conn::{Conn, LONGEST};
use super::error::ServerError;
use super::frame::Fields;
use super::login::Login;
use super::prepared::Prepared;
use super::url::Servers;
use super::wire;
use crate::database::reach::{Address, connect};
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

/// Tries each server once, and says why the last one failed, for operators.
pub(super) async fn open(way: &Way) -> Result<Conn, String> {
    let mut failure = String::new();
    for address in &way.servers.addresses {
        match open_one(address, way).await {
            Ok(conn) => return Ok(conn),
            Err(why) => failure = format!("{}: {why}", address.shown()),
        }
    }
    Err(failure)
}

async fn open_one(address: &Address, way: &Way) -> Result<Conn, String> {
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
    wire::startup(all, &mut conn.link.write);
    conn.awaited = 1;
    sent(&mut conn).await?;
    log_in(&mut conn, way).await?;
    look_around(&mut conn, way).await?;
    conn.link.rest();
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
    wire::ssl_request(&mut conn.link.write);
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
        let frame = conn.frame(LONGEST).await.map_err(|broken| broken.words())?;
        let body = conn.body(frame).to_vec();
        match frame.kind {
            b'R' => login.answer(&body, &mut conn.link.write)?,
            b'K' => conn.key = body,
            b'S' => {
                let mut fields = Fields(&body);
                if let (Some("server_version"), Some(version)) = (fields.text(), fields.text()) {
                    conn.version = version.to_owned();
                }
            }
            b'E' => return Err(told(&ServerError::read(&body))),
            b'Z' => {
                conn.ready(frame);
                return Ok(());
            }
            _ => {}
        }
        conn.done(frame);
        if !conn.link.write.is_empty() {
            sent(conn).await?;
        }
    }
}

/// Finds out whether the server that answers is the one that was connected to, and whether it takes writes.
async fn look_around(conn: &mut Conn, way: &Way) -> Result<(), String> {
    if !way.prepares && !way.servers.must_write {
        return Ok(());
    }
    wire::query(
        "select pg_catalog.pg_backend_pid(), pg_catalog.pg_is_in_recovery()",
        &mut conn.link.write,
    );
    conn.awaited = 1;
    sent(conn).await?;
    let mut row = None;
    loop {
        let frame = conn.frame(LONGEST).await.map_err(|broken| broken.words())?;
        match frame.kind {
            b'D' => row = super::row::values(conn.body(frame)),
            b'E' => return Err(told(&ServerError::read(conn.body(frame)))),
            b'Z' => {
                conn.ready(frame);
                break;
            }
            _ => {}
        }
        conn.done(frame);
    }
    let mut row = row.unwrap_or_default().into_iter();
    let (process, recovers) = (row.next().flatten(), row.next().flatten());
    if way.servers.must_write && recovers.as_deref() != Some(b"f") {
        return Err("this server takes no writes".to_owned());
    }
    let process = process.and_then(|text| std::str::from_utf8(&text).ok()?.parse::<u32>().ok());
    let is_same = process.is_some() && process == Fields(&conn.key).u32();
    conn.is_pooled = !is_same;
    if way.prepares && is_same {
        conn.prepared = Some(Prepared::default());
    }
    Ok(())
}

async fn sent(conn: &mut Conn) -> Result<(), String> {
    conn.link.send().await.map_err(|broken| broken.words())
}

fn told(error: &ServerError) -> String {
    format!("{} (SQLSTATE {})", error.message, error.code)
}
