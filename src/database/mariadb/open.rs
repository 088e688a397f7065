//! From a URL to a connection that is logged in, under settings of this client's own.

use std::sync::Arc;
use std::time::Duration;

use super::conn::{Conn, LONGEST};
use super::login::{Greeting, Login, Next, Secrecy};
use super::packet::{self, Fields};
use super::url::Servers;
use super::wire::{self, flags};
use crate::database::link::{Broken, Link};
use crate::database::reach::{Address, connect};
use crate::database::server::Connection;
use crate::database::url::Encrypted;
use crate::net::resolve::Resolve;
use crate::tls::{self, outbound};

/// So that statements mean what was seen in them when the config was checked, values that do not fit are refused, and instants have
/// one form. A transaction that ends is not followed by another.
const SETTINGS: &str = "SET NAMES utf8mb4, time_zone = '+00:00', autocommit = 1, completion_type = 'NO_CHAIN', \
    sql_mode = 'STRICT_TRANS_TABLES,STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'";

/// Where and how to connect.
pub(super) struct Way {
    pub servers: Servers,
    pub tls: Option<Arc<outbound::Client>>,
    pub resolver: Arc<dyn Resolve>,
    /// Whether statements are prepared once for each connection.
    pub prepares: bool,
    /// The longest that a statement may take, after which this client stops it.
    pub statement_timeout: Duration,
}

/// A connection that is logged in, and has its settings. Says why there is none, for operators.
pub(super) async fn open(address: &Address, way: &Way) -> Result<Conn, String> {
    let mut conn = log_in(address, address, way).await?;
    settle(&mut conn, way).await?;
    conn.server = server_of(&mut conn).await;
    if !conn.is_at_rest() {
        return Err("it answers in a way that cannot be read".to_owned());
    }
    conn.link.rest();
    Ok(conn)
}

/// Sets what has to be set in a session.
///
/// # Errors
/// Why that did not happen, for operators.
pub(super) async fn settle(conn: &mut Conn, way: &Way) -> Result<(), String> {
    let mut settings = SETTINGS.to_owned();
    if conn.version.contains("MariaDB") {
        // Where this client is gone, or cannot get another connection to have a statement stopped.
        let most = way.statement_timeout.as_secs().saturating_add(5);
        settings.push_str(&format!(", max_statement_time = {most}"));
    }
    match conn.command(&settings).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.told()),
        Err(broken) => Err(broken.words()),
    }
}

/// Has the server forget all that belongs to the session. False where that failed: then the connection is of no use.
pub(super) async fn forget_session(conn: &mut Conn, way: &Way) -> bool {
    conn.prepared.clear();
    let forgotten = async {
        conn.send(wire::RESET, |_| {}).await?;
        conn.outcome().await
    };
    let is_done = matches!(forgotten.await, Ok(Ok(_))) && settle(conn, way).await.is_ok();
    conn.is_fresh = is_done;
    conn.is_marked = !is_done;
    is_done
}

/// What tells the server at the other end from others: nothing, where it does not say.
pub(super) async fn server_of(conn: &mut Conn) -> String {
    let asked = "SELECT CONCAT_WS(' ', @@hostname, @@port, @@server_id, @@socket, @@pid_file)";
    one_text(conn, asked).await.unwrap_or_default()
}

/// The one value of a query, by the protocol of text. None where there is none.
async fn one_text(conn: &mut Conn, query: &str) -> Option<String> {
    conn.send(wire::QUERY, |into| into.extend_from_slice(query.as_bytes()))
        .await
        .ok()?;
    // A column, what describes it, a row, and its end; an end of the description between them where that is not left out.
    let has_end = conn.flags & flags::NO_EOF == 0;
    let mut value = None;
    for place in 0..if has_end { 5 } else { 4 } {
        let packet = conn.packet(LONGEST).await.ok()?;
        let body = conn.body(packet).into_owned();
        conn.done(packet);
        if body.first() == Some(&0xff) {
            conn.take_error(&body);
            return None;
        }
        if place == if has_end { 3 } else { 2 } {
            let bytes = Fields(&body).bytes();
            value = bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        }
    }
    conn.awaits = false;
    value
}

/// Connects to `peer`, which is called `address`, and logs in.
///
/// # Errors
/// Why that failed, for operators.
pub(super) async fn log_in(peer: &Address, address: &Address, way: &Way) -> Result<Conn, String> {
    let words = |broken: Broken| broken.words();
    let io = connect(peer, &*way.resolver).await?;
    let mut conn = Conn::new(io, address);
    let packet = conn.packet(LONGEST).await.map_err(words)?;
    let greeting = Greeting::read(&conn.body(packet))?;
    conn.done(packet);
    let servers = &way.servers;
    let is_unix = matches!(address, Address::Unix(_));
    let tls = way.tls.as_ref().filter(|_| !is_unix);
    if is_unix && servers.encrypted == Encrypted::Always {
        return Err("TLS is wanted, and MariaDB speaks none on a unix socket".to_owned());
    }
    let secrecy = if tls.is_some() || is_unix {
        Secrecy::Private
    } else if address.is_near() {
        Secrecy::Near
    } else {
        Secrecy::Open
    };
    let mut login = Login {
        user: &servers.user,
        password: &servers.password,
        database: &servers.database,
        way: secrecy,
        scramble: Vec::new(),
    };
    if let Some(client) = tls {
        if greeting.flags & flags::TLS == 0 {
            return Err("the server speaks no TLS, which is wanted".to_owned());
        }
        say(&mut conn, &login.asks_for_tls(&greeting)).await?;
        let shaken =
            tls::handshake::connect_raw(conn.link.into_io(), client, &address.shown()).await?;
        conn.link = Link::new(shaken);
    }
    say(&mut conn, &login.answer(&greeting, tls.is_some())?).await?;
    loop {
        let packet = conn.packet(LONGEST).await.map_err(words)?;
        let next = login.next(&conn.body(packet))?;
        conn.done(packet);
        match next {
            Next::In => break,
            Next::Say(said) => say(&mut conn, &said).await?,
            Next::Wait => {}
        }
    }
    conn.flags = login.flags(&greeting);
    conn.id = greeting.id;
    conn.version = greeting.version;
    Ok(conn)
}

/// Sends an answer, which has the number behind that of the question.
async fn say(conn: &mut Conn, said: &[u8]) -> Result<(), String> {
    let number = conn.number;
    packet::put(conn.link.writer(), number, |into| {
        into.extend_from_slice(said);
    });
    conn.number = number.wrapping_add(1);
    conn.link.send().await.map_err(|broken| broken.words())
}
