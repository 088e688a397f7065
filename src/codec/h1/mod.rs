//! HTTP/1.1 (RFC 9112): our own codec, both halves.
//!
//! `httparse` knows the grammar of a head, and a head that leaves nothing to judge is read without it. The rules on
//! top of the grammar are stricter than the standard asks, because two parties that read one message differently are
//! how requests are smuggled. Whatever could be read in two ways is refused before a byte of it goes on.
//!
//! - [`head`]: bytes to a request or response head, and back.
//! - [`framing`]: where a body ends.
//! - [`chunked`]: the chunked coding.
//! - [`reader`]: a socket, its buffer, and the body that is read from it.
//! - [`pace`]: when a head that arrives in crumbs is worth another attempt to parse it.
//! - [`outgoing`]: messages on their way out, as long as their heads say; [`taking`]: how their bodies get there.
//! - [`server`]: the side that callers speak to.
//! - [`client`]: the side that speaks to upstreams.

pub mod chunked;
pub mod client;
pub mod framing;
pub mod head;
pub mod outgoing;
pub mod pace;
pub mod reader;
pub mod server;
pub mod taking;

#[cfg(test)]
mod tests;
