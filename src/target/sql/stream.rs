//! A result whose answer begins before its last row has come.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use super::answer;
use crate::database::{Failure, Pieces};
use crate::http::body::Body;
use crate::http::error::Error;

/// The pieces of a result, which `task` reads.
struct Rows {
    first: Option<Bytes>,
    pieces: Pieces,
    task: JoinHandle<()>,
}

/// Waits for the first piece, and gives a body that begins with it. Dropped, it cancels the statement.
///
/// # Errors
/// Why there is no first piece.
pub(super) async fn begin(pieces: Pieces, task: JoinHandle<()>) -> Result<Body, Failure> {
    let mut rows = Rows {
        first: None,
        pieces,
        task,
    };
    match rows.pieces.recv().await {
        Some(Ok(first)) => {
            rows.first = Some(first);
            Ok(Body::stream(rows))
        }
        Some(Err(failure)) => Err(failure),
        None => Err(Failure::Broken("the statement was given up".to_owned())),
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl http_body::Body for Rows {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            let piece = match self.first.take() {
                Some(first) => Some(Ok(first)),
                None => ready!(self.pieces.poll_recv(cx)),
            };
            return Poll::Ready(match piece {
                // The last one may be.
                Some(Ok(piece)) if piece.is_empty() => continue,
                Some(Ok(piece)) => Some(Ok(Frame::data(piece))),
                Some(Err(failure)) => Some(Err(answer::failed(failure, &[]))),
                None => None,
            });
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
