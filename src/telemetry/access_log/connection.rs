//! A line for a connection whose bytes were passed on.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use super::{AccessLog, text};

/// What the line says. Text that is not there is left out of it.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// None on a unix socket.
    pub client: Option<IpAddr>,
    /// The name that TLS asks for.
    pub server_name: Option<&'a str>,
    /// Where the caller had connected to, if the kernel redirected it.
    pub destination: Option<SocketAddr>,
    pub from_caller: u64,
    pub to_caller: u64,
    /// From its first byte, or the end of the wait for it, to its end.
    pub seconds: f64,
    pub listener: &'a str,
    pub route: &'a str,
    pub upstream: Option<&'a str>,
    /// The endpoint's address.
    pub endpoint: Option<&'a str>,
    /// How it ended, or why it was not passed on, in one word.
    pub end: &'static str,
    /// The same in a sentence.
    pub detail: Option<&'a str>,
}

impl<W: Write + Clone> AccessLog<W> {
    /// Writes one line about a connection, as [`AccessLog::write`] does about a request.
    pub fn write_connection(&self, connection: &Connection<'_>) {
        self.write_line(|line| format(line, SystemTime::now(), connection));
    }
}

fn format(line: &mut Vec<u8>, now: SystemTime, connection: &Connection<'_>) {
    let time = humantime::format_rfc3339_micros(now);
    // Writing to a Vec cannot fail.
    let _ = write!(
        line,
        "{{\"timestamp\":\"{time}\",\"network.transport\":\"tcp\""
    );
    if let Some(client) = connection.client {
        let _ = write!(line, ",\"client.address\":\"{client}\"");
    }
    text(line, "tls.client.server_name", connection.server_name);
    if let Some(destination) = connection.destination {
        let (ip, port) = (destination.ip(), destination.port());
        let _ = write!(
            line,
            ",\"destination.address\":\"{ip}\",\"destination.port\":{port}"
        );
    }
    let _ = write!(
        line,
        ",\"outrigger.bytes_from_caller\":{},\"outrigger.bytes_to_caller\":{},\"outrigger.duration\":{:.6}",
        connection.from_caller, connection.to_caller, connection.seconds
    );
    text(line, "outrigger.listener", Some(connection.listener));
    text(line, "outrigger.tcp_route", Some(connection.route));
    text(line, "outrigger.upstream", connection.upstream);
    text(line, "outrigger.endpoint", connection.endpoint);
    text(line, "outrigger.end", Some(connection.end));
    text(line, "outrigger.detail", connection.detail);
    line.extend_from_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_where_a_connection_went() {
        let mut line = Vec::new();
        let connection = Connection {
            client: Some([192, 0, 2, 1].into()),
            server_name: Some("db.example"),
            destination: Some(([192, 0, 2, 9], 5432).into()),
            from_caller: 12,
            to_caller: 345,
            seconds: 1.5,
            listener: "out",
            route: "db",
            upstream: Some("database"),
            endpoint: None,
            end: "connect_failed",
            detail: Some("\"refused\""),
        };
        format(&mut line, SystemTime::UNIX_EPOCH, &connection);
        let read: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let expected = serde_json::json!({
            "timestamp": "1970-01-01T00:00:00.000000Z",
            "network.transport": "tcp",
            "client.address": "192.0.2.1",
            "tls.client.server_name": "db.example",
            "destination.address": "192.0.2.9",
            "destination.port": 5432,
            "outrigger.bytes_from_caller": 12,
            "outrigger.bytes_to_caller": 345,
            "outrigger.duration": read["outrigger.duration"],
            "outrigger.listener": "out",
            "outrigger.tcp_route": "db",
            "outrigger.upstream": "database",
            "outrigger.end": "connect_failed",
            "outrigger.detail": "\"refused\"",
        });
        assert_eq!(read["outrigger.duration"].as_f64(), Some(1.5));
        assert_eq!(read, expected);
        assert_eq!(line.last(), Some(&b'\n'));
    }
}
