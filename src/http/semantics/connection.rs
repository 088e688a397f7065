//! Fields that speak of one connection, and not of the message that came over it.

use crate::http::headers::Names;

/// The names of these fields, and others behind them. HTTP/2 knows none of these (RFC 9113, section 8.2.2), and HTTP/1
/// writes its own (RFC 9110, section 7.6.1).
macro_rules! connection_and {
    ($($other:literal),*) => {
        &["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade" $(, $other)*]
    };
}

/// The names of what speaks of a connection.
pub const NAMES: &[&str] = connection_and!();
/// What speaks of a connection.
pub const CONNECTION: Names = Names::new(NAMES);
/// The same and the length, which whoever sends the body tells itself.
pub const AND_LENGTH: Names = Names::new(connection_and!("content-length"));
/// The same and the host, which is `:authority` in HTTP/2.
pub const AND_HOST: Names = Names::new(connection_and!("content-length", "host"));
/// What is meant for one connection only: a proxy hands none of it on.
pub const HOP_BY_HOP: Names = Names::new(connection_and!("http2-settings", "te"));

#[cfg(test)]
mod tests {
    use crate::value::FieldName;

    /// Rooms below this one cannot have the list from here.
    #[test]
    fn no_config_may_write_what_speaks_of_a_connection() {
        for name in connection_and!("content-length", "te", "trailer") {
            let name = FieldName::try_from(String::from(*name)).unwrap();
            assert!(name.is_framing(), "{}", name.as_str());
        }
    }
}
