//! Asking a running proxy, by its admin API.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;

use crate::explain::{Explanation, Question};

/// The longest that each step may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer, in bytes.
const LONGEST: u64 = 64 << 20;

/// Asks the proxy whose admin API is at `admin`.
///
/// # Errors
/// Why there is no answer, or what the proxy says is wrong with the question.
pub fn ask(admin: &str, question: &Question) -> Result<Explanation, String> {
    let admin = admin.strip_prefix("http://").unwrap_or(admin);
    let admin = admin.trim_end_matches('/');
    let body = serde_json::to_string(question).map_err(|error| error.to_string())?;
    let answer = exchange(admin, &body);
    let answer = answer.map_err(|error| format!("the admin API at {admin}: {error}"))?;
    let answer = String::from_utf8_lossy(&answer);
    let unlike = || format!("what answers at {admin} is no admin API of this version");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(unlike)?;
    if head.starts_with("HTTP/1.1 200") {
        return serde_json::from_str(body).map_err(|_| unlike());
    }
    let problem: Value = serde_json::from_str(body).map_err(|_| unlike())?;
    Err(problem["detail"]
        .as_str()
        .map(str::to_owned)
        .unwrap_or_else(unlike))
}

fn exchange(admin: &str, body: &str) -> io::Result<Vec<u8>> {
    // The name by which the API knows itself: it refuses others.
    let host = if admin.starts_with("unix:") {
        "localhost"
    } else {
        admin
    };
    let request = format!(
        "POST /explain HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    if let Some(path) = admin.strip_prefix("unix:") {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        return talk(stream, &request);
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in admin.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return talk(stream, &request);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The whole answer: its body is as long as the connection lasts.
fn talk(mut stream: impl Read + Write, request: &str) -> io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    Ok(answer)
}
