//! Our own codecs: HTTP/1.1 ([`h1`]) and HTTP/2 ([`h2`]), each as a server and as a client.

pub mod h1;
pub mod h2;
