//! Has the server stop what it does on a connection.

use std::time::Duration;

use tokio::time::timeout;

use super::conn::Conn;
use super::open::{Way, reach};
use super::wire;

/// How long that may take.
const LIMIT: Duration = Duration::from_secs(2);

/// Asks the server to cancel what runs on `conn`, and waits until it has taken note: then it has told the process that serves
/// `conn`, or there was nothing to tell. `conn` is of no use for another statement afterwards.
pub(super) async fn cancel(conn: &mut Conn, way: &Way) {
    conn.is_cancelled = true;
    let (address, key) = (conn.address.clone(), conn.key.clone());
    let asked = async {
        let Ok(mut other) = reach(&address, way).await else {
            return;
        };
        wire::cancel_request(&key, &mut other.link.write);
        if other.link.send().await.is_ok() {
            other.closed().await;
        }
    };
    // A server that does not answer will find the connection closed.
    let _late = timeout(LIMIT, asked).await;
}
