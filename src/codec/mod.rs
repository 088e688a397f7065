//! Our own codecs: HTTP/1.1 ([`h1`]) and HTTP/2 ([`h2`]), each as a server and as a client.
//!
//! Both servers have one face: `serve(io, early, settings, draining, service)` serves a connection to its end, with
//! the same [`Settings`] and the same [`Service`] that answers. `early` are bytes that were read to tell the protocol.
//! `draining` is asked whenever the connection's task is woken; once it says yes, the connection ends without losing a
//! request.

mod detect;
pub mod h1;
pub mod h2;
mod service;
mod settings;

pub use detect::{Detected, detect};
pub use service::Service;
pub use settings::Settings;
