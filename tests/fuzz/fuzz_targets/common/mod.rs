//! A socket pair on a runtime of this thread, and a far end that sends what the fuzzer made.

use std::future::Future;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use outrigger::http::body::Body;
use outrigger::http::error::Error;
use outrigger::http::headers::Headers;
use outrigger::net::io::Io;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

/// Runs `read` on one end of a connection, while the other sends `wire` in pieces of `step` bytes, and then its end.
pub fn fed<T, F: Future<Output = T>>(wire: &[u8], step: usize, read: impl FnOnce(Io) -> F) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
    }
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let (near, mut far) = UnixStream::pair().unwrap();
            let feed = async {
                for piece in wire.chunks(step.max(1)) {
                    if far.write_all(piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                let _ = far.shutdown().await;
                std::future::pending().await
            };
            tokio::select! {
                read = read(Io::Unix(near)) => read,
                never = feed => never,
            }
        })
    })
}

/// A body to its end, or the reason why it has none.
pub async fn read_all(body: Body) -> Result<(Bytes, Option<HeaderMap>), &'static str> {
    let whole = body.collect().await.map_err(name)?;
    let trailers = whole.trailers().cloned();
    Ok((whole.to_bytes(), trailers))
}

pub fn name(error: Error) -> &'static str {
    error.reason().name
}

pub fn fields(headers: &Headers) -> Vec<(Vec<u8>, Vec<u8>)> {
    let fields = headers.iter();
    fields.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}
