//! gRPC as far as a proxy has to know it: who speaks it, how long a call may take, and the status with which it ends.

mod dialect;
mod failures;
pub mod message;
mod status;
pub mod timeout;

use http::{HeaderMap, HeaderName};

use crate::http::headers::{Headers, Name};

pub use self::dialect::{CONTENT_TYPE, Dialect};
pub use self::status::Status;

const STATUS_NAME: &str = "grpc-status";
const MESSAGE_NAME: &str = "grpc-message";

pub const STATUS: HeaderName = HeaderName::from_static(STATUS_NAME);
pub const MESSAGE: HeaderName = HeaderName::from_static(MESSAGE_NAME);
/// Where the status of a call that has no messages stands, and all that is told of it.
pub const OF_STATUS: [&str; 3] = [STATUS_NAME, MESSAGE_NAME, "grpc-status-details-bin"];

/// The text of the status in the head of an answer, which then has no messages.
#[inline]
pub fn status_in(headers: &Headers) -> Option<&[u8]> {
    const NAME: Name = Name::new(STATUS_NAME);
    headers.find(&NAME)
}

/// That of the status behind the messages of an answer. Trailers are so few that a walk costs less than a hash.
pub fn status_behind(trailers: &HeaderMap) -> Option<&[u8]> {
    let mut trailers = trailers.iter();
    let status = trailers.find(|(name, _)| name.as_str() == STATUS_NAME);
    status.map(|(_, value)| value.as_bytes())
}
