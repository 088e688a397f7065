//! Servers that say something rare, or do not keep to the protocol.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::conn::{Conn, LONGEST};
use super::open::Way;
use super::query::Stop;
use super::url;
use crate::database::Failure;
use crate::database::link::Broken;
use crate::database::reach::Address;
use crate::database::server::commit;
use crate::net::io::Io;
use crate::net::resolve::SystemResolver;

fn way() -> Way {
    Way {
        servers: url::parse("postgres://me@host/shop").unwrap(),
        tls: None,
        resolver: Arc::new(SystemResolver::new()),
        prepares: true,
    }
}

/// A connection on which the server has said this, and no more.
async fn told(bytes: &[u8]) -> (Conn, UnixStream) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(bytes).await.unwrap();
    let mut conn = Conn::new(Io::Unix(ours), &Address::Unix("/s".into()));
    conn.link
        .set_deadline(Instant::now() + Duration::from_secs(5));
    (conn, theirs)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

async fn commit_after(tag: &[u8], status: u8) -> Result<(), Stop> {
    let said = [message(b'C', tag), message(b'Z', &[status])].concat();
    let (mut conn, _server) = told(&said).await;
    commit(&way(), &mut conn).await
}

#[tokio::test]
async fn a_commit_holds_only_by_the_tag_and_the_status() {
    assert!(commit_after(b"COMMIT\0", b'I').await.is_ok());
    for tag in [&b"ROLLBACK\0"[..], b"\0"] {
        let ended = commit_after(tag, b'I').await;
        assert!(matches!(ended, Err(Stop::Ours(Failure::Refused { .. }))));
    }
    for status in [b'T', b'E'] {
        let ended = commit_after(b"COMMIT\0", status).await;
        assert!(matches!(ended, Err(Stop::Ours(Failure::Unknown(_)))));
    }
    // It ends before it has said anything.
    let (mut conn, server) = told(b"").await;
    drop(server);
    let ended = commit(&way(), &mut conn).await;
    assert!(matches!(ended, Err(Stop::Ours(Failure::Unknown(_)))));
}

#[tokio::test]
async fn what_is_longer_than_it_may_be_is_not_waited_for() {
    let most = 1000;
    for (kind, length, is_read) in [
        (b'D', 1004, true),
        (b'D', 1005, false),
        (b'T', LONGEST + 5, false),
        (b'E', i32::MAX as usize, false),
    ] {
        let mut head = vec![kind];
        head.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
        let (mut conn, server) = told(&head).await;
        drop(server);
        let broken = conn.message(most).await.err().unwrap();
        assert_eq!(broken != Broken::TooLong, is_read, "{length}");
    }
}

#[tokio::test]
async fn what_is_no_message_ends_the_connection() {
    for said in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"Z\0\0\0\x03I",
        b"Z\xff\xff\xff\xffI",
        b"Z\0\0\0\x04",
        b"D\0\0\0\x05\0",
        b"?\0\0\0\x04",
        b"S\0\0\0\x06a\0",
    ] {
        let (mut conn, server) = told(said).await;
        drop(server);
        let broken = conn.message(LONGEST).await.err();
        assert!(
            matches!(broken, Some(Broken::Lost(_) | Broken::TooLong)),
            "{said:?}"
        );
    }
}
