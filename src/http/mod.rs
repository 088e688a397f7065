//! What requests and answers are and mean, whatever version of HTTP carries them. Nothing here reads or writes a byte.

pub mod asking;
pub mod body;
pub mod boxed;
pub mod caller_key;
pub mod cookie;
pub mod envelope;
pub mod error;
pub mod exchange;
pub mod fault;
pub mod grpc;
pub mod handler;
pub mod headers;
pub mod message;
pub mod path;
pub mod peer;
pub mod rendezvous;
pub mod semantics;
pub mod trace_heads;
pub mod trail;
