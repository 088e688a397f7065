//! What lasts as long as a body, and learns how it ended.

use crate::http::error::Error;

/// Something that must last as long as a body, and learns how it ended.
pub trait Guard: Send + Sync {
    /// `passed` counts the bytes of content that were handed on.
    fn end(&mut self, end: End<'_>, passed: u64);

    /// The trailers are handed on, with this status of a call of gRPC among them; the end follows.
    fn trailers(&mut self, grpc_status: Option<&[u8]>) {
        let _of_no_interest = grpc_status;
    }

    /// The first piece is handed on, and more may follow.
    fn begun(&mut self) {}
}

/// How a body ended.
#[derive(Clone, Copy, Debug)]
pub enum End<'a> {
    /// Its last piece was handed on.
    Complete,
    /// Its source failed.
    Failed(&'a Error),
    /// Whoever read it stopped before its end.
    Dropped,
}

impl<A: Guard, B: Guard> Guard for (A, B) {
    fn end(&mut self, end: End<'_>, passed: u64) {
        self.0.end(end, passed);
        self.1.end(end, passed);
    }

    fn trailers(&mut self, grpc_status: Option<&[u8]>) {
        self.0.trailers(grpc_status);
        self.1.trailers(grpc_status);
    }

    fn begun(&mut self) {
        self.0.begun();
        self.1.begun();
    }
}

impl Guard for Box<dyn Guard> {
    fn end(&mut self, end: End<'_>, passed: u64) {
        (**self).end(end, passed);
    }

    fn trailers(&mut self, grpc_status: Option<&[u8]>) {
        (**self).trailers(grpc_status);
    }

    fn begun(&mut self) {
        (**self).begun();
    }
}
