//! Has the server stop what it does on a connection.

use std::time::Duration;

use postgres_protocol::message::frontend;
use tokio::time::{Instant, timeout};

use super::conn::Conn;
use super::open::{Way, reach};
use crate::database::link::Broken;

/// How long that may take.
const LIMIT: Duration = Duration::from_secs(2);
/// How long the server has to say that a statement has ended before it is told once more, at first.
const PATIENCE: Duration = Duration::from_millis(50);

/// Asks the server to cancel what runs on `conn`, and waits until it has taken note: then it has told the process that serves
/// `conn`, or there was nothing to tell. `conn` is of no use for another statement afterwards.
///
/// A process that has not begun with the statement yet takes no notice: whoever hears nothing of the statement asks again.
pub(super) async fn cancel(conn: &mut Conn, way: &Way) {
    conn.is_cancelled = true;
    let address = conn.address.clone();
    let Some((process, secret)) = conn.key else {
        return;
    };
    let asked = async {
        let Ok(mut other) = reach(&address, way).await else {
            return;
        };
        frontend::cancel_request(process, secret, &mut other.write);
        if other.send().await.is_ok() {
            other.closed().await;
        }
    };
    // A server that does not answer will find the connection closed.
    let _late = timeout(LIMIT, asked).await;
}

/// Cancels what runs on `conn` until the server says that it has ended.
pub(super) async fn end(conn: &mut Conn, way: &Way) {
    let ended = async {
        let mut patience = PATIENCE;
        while conn.awaited > 0 {
            cancel(conn, way).await;
            conn.link.set_deadline(Instant::now() + patience);
            match conn.outcome().await {
                Ok(_) | Err(Broken::Late) => patience *= 2,
                Err(_) => return,
            }
        }
    };
    let _late = timeout(2 * LIMIT, ended).await;
}
