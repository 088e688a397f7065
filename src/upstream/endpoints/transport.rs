//! What goes to an endpoint over the network, as far as the endpoint itself has to know of it.

use super::address::Address;

/// The connections to one endpoint, whatever is spoken over them. The endpoint holds it as it is, so that who sends
/// over it asks it directly.
pub trait Transport: Send + Sync + 'static {
    /// Connects nothing yet.
    fn new(address: &Address) -> Self;

    /// Connections that exist, and those of them that are idle.
    fn connections(&self) -> (usize, usize);

    /// No list names the endpoint any more: what is idle ends now, the rest with what goes over it.
    fn close(&self);
}
