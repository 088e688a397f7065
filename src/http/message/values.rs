//! What the variables of a config's text stand for in a request.

use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderName;

use super::Request;
use crate::value::template::Values;

impl Values for Request {
    fn request_id(&self) -> &[u8] {
        self.context.request_id.as_bytes()
    }

    fn route(&self) -> &str {
        &self.context.route
    }

    fn client_ip(&self) -> Option<IpAddr> {
        self.context.client
    }

    fn client_identity(&self) -> Option<&str> {
        let identity = self.context.peer.identity();
        identity.map(|identity| identity.name())
    }

    fn capture(&self, name: &str) -> Option<&str> {
        self.context.captures.get(name)
    }

    fn query(&self) -> Option<&str> {
        self.target.query()
    }

    fn header(&self, name: &HeaderName) -> Option<&[u8]> {
        self.headers.get(name)
    }

    fn upstream(&self) -> Option<&str> {
        self.context.upstream.as_deref()
    }

    fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        self.context.claims.as_deref()?.text(name)
    }
}
