//! Asks the admin API of a proxy that runs.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long each step may take: the proxy answers from memory, or reads its config.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest answer that is read.
const LARGEST: u64 = 64 << 20;

/// What it answered.
pub(super) struct Answer {
    pub status: u16,
    pub body: String,
}

/// Sends one request, with a body of JSON, to the API at `address`: `host:port`, `http://host:port` or `unix:/path`.
///
/// # Errors
/// Why there is no answer.
pub(super) fn ask(address: &str, method: &str, path: &str, body: &str) -> Result<Answer, String> {
    let whole = match address.strip_prefix("unix:") {
        Some(socket) => UnixStream::connect(socket).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            exchange(stream, "localhost", method, path, body)
        }),
        None => {
            let address = address.strip_prefix("http://").unwrap_or(address);
            let address = address.trim_end_matches('/');
            connect(address).and_then(|stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                exchange(stream, address, method, path, body)
            })
        }
    };
    let whole = whole.map_err(|error| format!("no answer from `{address}`: {error}"))?;
    read(&whole).ok_or_else(|| format!("what answers at `{address}` is no admin API"))
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut failure = io::Error::other("the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// In HTTP/1.0, whose answers end with their connection.
fn exchange(
    mut stream: impl Read + Write,
    host: &str,
    method: &str,
    path: &str,
    body: &str,
) -> io::Result<String> {
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = Vec::new();
    stream.take(LARGEST).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn read(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    Some(Answer {
        status: status.parse().ok()?,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn an_answer_is_read_to_its_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = [0; 512];
            let count = stream.read(&mut seen).unwrap();
            stream
                .write_all(b"HTTP/1.0 200 OK\r\ncontent-type: x\r\n\r\n{}\n")
                .unwrap();
            String::from_utf8_lossy(&seen[..count]).into_owned()
        });
        let answer = ask(&format!("http://{address}/"), "POST", "/diff", "[]").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "{}\n"));
        let seen = served.join().unwrap();
        assert!(seen.starts_with("POST /diff HTTP/1.0\r\n"), "{seen}");
        assert!(ask(&address, "GET", "/", "").is_err(), "nobody is there");
    }
}
