//! What goes wrong with a broker, in words.

use std::time::Duration;

use lapin::ErrorKind;
use lapin::types::ShortUInt;
use tokio::time::timeout;

use super::super::Refusal;

/// The longest that a broker may take for an answer that it has at hand.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

const CONTENT_TOO_LARGE: ShortUInt = 311;
const ACCESS_REFUSED: ShortUInt = 403;
const NOT_FOUND: ShortUInt = 404;
const PRECONDITION_FAILED: ShortUInt = 406;
const NOT_ALLOWED: ShortUInt = 530;

/// Waits for an answer of the broker, for no longer than [`ANSWER`].
pub(super) async fn answer<T>(asked: impl Future<Output = lapin::Result<T>>) -> Result<T, String> {
    match timeout(ANSWER, asked).await {
        Ok(answer) => answer.map_err(|error| words(&error)),
        Err(_) => Err(format!("the broker did not answer within {ANSWER:?}")),
    }
}

/// What a broker, or the library that speaks with it, says.
pub(super) fn words(error: &lapin::Error) -> String {
    match error.kind() {
        ErrorKind::ProtocolError(said) => said.get_message().to_string(),
        ErrorKind::IOError(error) => format!("the connection broke: {error}"),
        ErrorKind::MissingHeartbeatError => "the broker sent no heartbeat in time".to_owned(),
        ErrorKind::ChannelsLimitReached => "the broker allows no more channels".to_owned(),
        ErrorKind::InvalidChannelState(..)
        | ErrorKind::InvalidChannel(_)
        | ErrorKind::InvalidConnectionState(_) => "the connection has ended".to_owned(),
        _ => error.to_string(),
    }
}

/// Why there is no connection. What a broker says then names the user and the virtual host, which are part of a secret.
pub(super) fn login(error: &lapin::Error) -> String {
    match code(error) {
        Some(ACCESS_REFUSED) => "the broker refused the login".to_owned(),
        Some(NOT_ALLOWED) => {
            "the broker does not know the virtual host, or does not let this user in there"
                .to_owned()
        }
        _ => words(error),
    }
}

/// Why a message that was handed to the broker for `exchange` is not known to be stored.
pub(super) fn refusal(error: &lapin::Error, exchange: &str) -> Refusal {
    match code(error) {
        Some(NOT_FOUND) => Refusal::Unroutable(format!("there is no exchange `{exchange}`")),
        Some(ACCESS_REFUSED) => Refusal::Rejected(format!(
            "the broker does not let this user publish to the exchange `{exchange}`"
        )),
        Some(CONTENT_TOO_LARGE) => too_large(),
        // `message size 3000000 is larger than configured max size 2097152`
        Some(PRECONDITION_FAILED) if words(error).contains("larger than") => too_large(),
        Some(PRECONDITION_FAILED) => {
            Refusal::Unfit("the broker does not take such a message".to_owned())
        }
        _ => Refusal::Unknown(format!("{} before it confirmed", words(error))),
    }
}

fn too_large() -> Refusal {
    Refusal::TooLarge("the message is larger than the broker takes".to_owned())
}

fn code(error: &lapin::Error) -> Option<ShortUInt> {
    match error.kind() {
        ErrorKind::ProtocolError(said) => Some(said.get_id()),
        _ => None,
    }
}
