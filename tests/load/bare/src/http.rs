//! The least of HTTP/1.1 that will do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::{AT_ONCE, BODY, Left, Publisher, Result, measured};

/// A connection over which one request follows the other.
pub struct Caller {
    stream: TcpStream,
    path: String,
    buffer: Vec<u8>,
}

impl Caller {
    pub async fn connect(port: u16, path: &str) -> Result<Caller> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Caller {
            stream,
            path: path.to_owned(),
            buffer: Vec::new(),
        })
    }

    /// Posts `body`, and takes an answer of 2xx.
    pub async fn post(&mut self, body: &[u8]) -> Result<()> {
        let mut request = format!(
            "POST {} HTTP/1.1\r\nhost: bare\r\ncontent-length: {}\r\n\r\n",
            self.path,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the connection was closed before an answer".into());
            }
            if let Some(whole) = whole(&self.buffer)
                && self.buffer.len() >= whole
            {
                break;
            }
        }
        if self.buffer.starts_with(b"HTTP/1.1 2") {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&self.buffer).into_owned().into())
    }
}

pub async fn post(port: u16, path: &str, left: Left) -> Result<()> {
    let begun = Instant::now();
    let mut all = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (left, path) = (left.clone(), path.to_owned());
        all.spawn(async move {
            let mut caller = Caller::connect(port, &path).await?;
            while left.take().is_some() {
                caller.post(&BODY).await?;
            }
            Ok(())
        });
    }
    measured(begun, all).await
}

/// Answers each request at once, or when a message is published for it.
pub async fn serve(port: u16, publisher: Option<Publisher>) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let number = Arc::new(AtomicUsize::new(0));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // Whoever breaks off has no answer, and nobody else is disturbed.
        tokio::spawn(answer(stream, publisher.clone(), number.clone()));
    }
}

async fn answer(
    mut stream: TcpStream,
    publisher: Option<Publisher>,
    number: Arc<AtomicUsize>,
) -> Result<()> {
    let mut buffer = Vec::new();
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        while let Some(whole) = whole(&buffer)
            && buffer.len() >= whole
        {
            buffer.drain(..whole);
            if let Some(publisher) = &publisher {
                let number = number.fetch_add(1, Ordering::Relaxed);
                publisher.publish(number).await?;
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await?;
        }
    }
}

/// How long the message is whose head is in `buffer`.
fn whole(buffer: &[u8]) -> Option<usize> {
    let end = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&buffer[..end])
        .ok()?
        .to_ascii_lowercase();
    let length = head.split("content-length:").nth(1)?;
    let length: usize = length.lines().next()?.trim().parse().ok()?;
    Some(end + length)
}
