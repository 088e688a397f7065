//! A request that an endpoint has now.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use crate::upstream::endpoints::endpoint::Endpoint;

/// One request at an endpoint: counts as in flight until it is dropped, which is to be at the end of the body.
pub struct LoadGuard<T> {
    endpoint: Arc<Endpoint<T>>,
    started: Instant,
}

impl<T> LoadGuard<T> {
    pub fn new(endpoint: Arc<Endpoint<T>>, started: Instant) -> Self {
        endpoint.load.begin();
        LoadGuard { endpoint, started }
    }

    pub fn endpoint(&self) -> &Arc<Endpoint<T>> {
        &self.endpoint
    }

    /// When the request was given to the endpoint.
    pub fn started(&self) -> Instant {
        self.started
    }
}

impl<T> fmt::Debug for LoadGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoadGuard({:?})", self.endpoint)
    }
}

impl<T> Drop for LoadGuard<T> {
    fn drop(&mut self) {
        self.endpoint.load.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::fake::endpoint;

    #[test]
    fn a_request_is_in_flight_to_its_end() {
        let endpoint = endpoint(1);
        let guard = LoadGuard::new(endpoint.clone(), Instant::now());
        assert_eq!(endpoint.load.in_flight(), 1);
        drop(guard);
        assert_eq!(endpoint.load.in_flight(), 0);
    }
}
