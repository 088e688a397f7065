//! How many messages of a queue are ready to be given out.

use std::time::Duration;

use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use tokio::time::timeout;

use super::failure::answer;
use super::names::short;

/// The longest to wait for what was handed back. Somebody else may take it at once, and then it is never seen.
const BACK: Duration = Duration::from_millis(500);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// How many there are. The channel ends when there is no such queue.
pub(super) async fn count(channel: &Channel, queue: &str) -> Result<u64, String> {
    let passive = QueueDeclareOptions::default().passive();
    let asked = channel.queue_declare(short(queue)?, passive, FieldTable::default());
    Ok(u64::from(answer(asked).await?.message_count()))
}

/// Waits until `wanted` are there: a quorum queue takes back what is handed back a moment later, and whoever asks before
/// that is given what stands behind it.
pub(super) async fn until(channel: &Channel, queue: &str, wanted: u64) {
    let looking = async {
        while count(channel, queue)
            .await
            .is_ok_and(|count| count < wanted)
        {
            tokio::time::sleep(PAUSE).await;
        }
    };
    let _taken_by_others = timeout(BACK, looking).await;
}
