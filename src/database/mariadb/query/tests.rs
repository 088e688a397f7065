use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::database::mariadb::packet::{put, put_bytes};
use crate::database::mariadb::url;
use crate::database::output::{Form, Limits};
use crate::database::reach::Address;
use crate::database::{BigNumbers, Kind, Output};
use crate::net::io::Io;
use crate::net::resolve::SystemResolver;

const LIMIT: Duration = Duration::from_secs(1);

/// One column that is called `a`, and one row in which it is 1.
fn one_row() -> Vec<u8> {
    let (mut packets, mut number) = (Vec::new(), 0);
    let mut add = |write: &dyn Fn(&mut Vec<u8>)| {
        number += 1;
        put(&mut packets, number, |into| write(into));
    };
    add(&|into| into.push(1));
    add(&|into| {
        for text in ["def", "", "", "", "a", ""] {
            put_bytes(into, text.as_bytes());
        }
        // A `bigint`.
        into.extend_from_slice(&[12, 63, 0, 20, 0, 0, 0, 8, 0, 0, 0, 0, 0]);
    });
    add(&|into| into.extend_from_slice(&[0, 0, 1, 0, 0, 0, 0, 0, 0, 0]));
    add(&|into| into.extend_from_slice(&[0xfe, 0, 0, 2, 0, 0, 0]));
    packets
}

/// A command was carried out, with this status of the session.
fn done(status: u16) -> Vec<u8> {
    let mut packet = Vec::new();
    put(&mut packet, 1, |into| {
        into.extend_from_slice(&[0, 1, 0]);
        into.extend_from_slice(&status.to_le_bytes());
        into.extend_from_slice(&[0, 0]);
    });
    packet
}

/// What becomes of a statement to which this is answered when the server was told to stop it.
async fn told_late(text: &str, answer: Vec<u8>) -> Result<u64, Stop> {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut accepted, _) = server.accept().await.unwrap();
    let serving = tokio::spawn(async move {
        let mut asked = [0; 1024];
        assert!(accepted.read(&mut asked).await.unwrap() > 0);
        // Whoever stops it comes by another connection.
        drop(server.accept().await.unwrap());
        accepted.write_all(&answer).await.unwrap();
        accepted
    });
    let address = Address::Tcp(address.ip().to_string(), address.port());
    let mut conn = Conn::new(Io::Tcp(socket), &address);
    conn.flags = flags::WANTED & !flags::METADATA;
    let statement = Statement::new(text, &[], Kind::MySql);
    let ready = Ready {
        id: 1,
        order: Arc::new([]),
    };
    conn.prepared.keep(&statement.key, ready);
    let way = Way {
        servers: url::parse("mysql://u:p@127.0.0.1/d").unwrap(),
        tls: None,
        resolver: Arc::new(SystemResolver::new()),
        prepares: true,
        statement_timeout: LIMIT,
    };
    let asked = Run {
        way: &way,
        statement: &statement,
        values: &[],
        until: Instant::now(),
    };
    let limits = Limits {
        rows: 10,
        bytes: 1000,
    };
    let mut output = Output::whole(Form::Array, limits, BigNumbers::Number);
    let result = run(&mut conn, &asked, &mut Sink::Json(&mut output))
        .await
        .unwrap();
    serving.await.unwrap();
    result
}

#[tokio::test]
async fn what_ended_well_after_it_was_stopped_is_not_taken_for_done() {
    for (text, answer, expected) in [
        ("select sleep(30) as a", one_row(), Effects::None),
        ("call anything()", one_row(), Effects::Unknown),
        ("insert into t select sleep(30)", done(0), Effects::Unknown),
        // Within a transaction, which ends with the connection.
        ("insert into t select sleep(30)", done(1), Effects::None),
    ] {
        let result = told_late(text, answer).await;
        let is_late =
            matches!(&result, Err(Stop::Ours(Failure::Timeout(effects))) if *effects == expected);
        assert!(is_late, "{text}: {result:?}");
    }
}
