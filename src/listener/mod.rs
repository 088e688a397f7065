//! `[listeners.*]`: where callers connect.

mod accept;
mod access;
mod address;
mod capacity;
mod checked;
mod closing;
mod config;
mod integrations;
mod pass_through;
mod redirected;
mod secure;
mod socket;
#[cfg(test)]
mod tests;

pub use accept::{Accepted, Listener, METRICS, accept};
pub use access::{Access, Group, Mode};
pub use address::ListenAddress;
pub use checked::Checked;
pub use config::{Config, ForwardedHeaders, ProblemDetail, Protocol};
pub use integrations::{Integrations, IntegrationsConfig};
pub use pass_through::PassThrough;
pub use secure::Secured;
pub use socket::{BACKLOG, ListenSocket, SocketFile, Taken, bind_tcp, bind_unix, take};
