//! Has the server stop what it does on a connection.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::conn::Conn;
use super::open::{Way, log_in, server_of};

/// How long that may take.
const LIMIT: Duration = Duration::from_secs(2);

/// Tells the server by another connection to stop what runs on `conn`, and waits until it has taken note. `conn` is of no use for
/// another statement afterwards: one that is told late would stop the next one.
pub(super) async fn cancel(conn: &mut Conn, way: &Way) {
    conn.is_over = true;
    let asked = async {
        let Ok(mut other) = log_in(&conn.peer, &conn.address, way).await else {
            return;
        };
        other.link.set_deadline(Instant::now() + LIMIT);
        // Servers count their connections alike: on another one, or one that was started anew, this number is somebody else.
        if server_of(&mut other).await == conn.server && !conn.link.has_ended() {
            let _gone = other.command(&format!("KILL QUERY {}", conn.id)).await;
        }
    };
    // A server that does not answer will find the connection closed.
    let _late = timeout(LIMIT, asked).await;
}
