//! All that sending spans needs to know.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use crate::fetch::Url;
use crate::tls::outbound::{self, Client, Material};
use crate::trace::{Limits, Sampler, Writer};

/// What is recorded, where it goes, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    pub url: Url,
    pub tls: Option<(outbound::Config, Arc<Material>)>,
    /// Those that the collector wants, which may be secret.
    pub headers: HeaderMap,
    pub sampler: Sampler,
    /// Whether `traceparent` is read and written.
    pub propagates: bool,
    pub resource: Resource,
    pub limits: Limits,
    /// How long a span waits for others.
    pub delay: Duration,
    /// How long one try to send a batch may take.
    pub timeout: Duration,
    /// How long a batch is tried.
    pub patience: Duration,
    pub gzip: bool,
}

/// What spans come from: attributes, by their names.
pub type Resource = Vec<(String, String)>;

/// The fields of OTLP's messages.
mod field {
    /// `ExportTraceServiceRequest`
    pub const RESOURCE_SPANS: u32 = 1;
    /// `ResourceSpans`
    pub const RESOURCE: u32 = 1;
    pub const SCOPE_SPANS: u32 = 2;
    /// `Resource`
    pub const ATTRIBUTES: u32 = 1;
    /// `ScopeSpans`
    pub const SCOPE: u32 = 1;
    /// `InstrumentationScope`
    pub const NAME: u32 = 1;
    pub const VERSION: u32 = 2;
}

impl Settings {
    /// Whether the same spans would be sent in the same way, TLS aside.
    pub fn is_like(&self, other: &Settings) -> bool {
        let Settings {
            url,
            tls: _,
            headers,
            sampler,
            propagates,
            resource,
            limits,
            delay,
            timeout,
            patience,
            gzip,
        } = self;
        *url == other.url
            && *headers == other.headers
            && *sampler == other.sampler
            && *propagates == other.propagates
            && *resource == other.resource
            && *limits == other.limits
            && *delay == other.delay
            && *timeout == other.timeout
            && *patience == other.patience
            && *gzip == other.gzip
    }

    /// How TLS is spoken; `old` itself where it is the same.
    pub fn client(&self, old: Option<&Arc<Client>>) -> Option<Arc<Client>> {
        let (config, material) = self.tls.as_ref()?;
        Client::next(config, material, old)
    }

    /// `ExportTraceServiceRequest` with these spans, which are fields of `ScopeSpans`.
    pub fn message(&self, spans: &[u8]) -> Vec<u8> {
        let mut resource = Writer::default();
        for (name, value) in &self.resource {
            resource.text_attribute(field::ATTRIBUTES, name.as_bytes(), &[value.as_bytes()]);
        }
        let mut scope = Writer::default();
        scope.bytes(field::NAME, env!("CARGO_PKG_NAME"));
        scope.bytes(field::VERSION, env!("CARGO_PKG_VERSION"));
        let mut of_scope = Writer::with_capacity(spans.len() + 64);
        of_scope.bytes(field::SCOPE, scope);
        let of_scope = [of_scope.as_ref(), spans].concat();
        let mut of_resource = Writer::default();
        of_resource.bytes(field::RESOURCE, resource);
        of_resource.bytes(field::SCOPE_SPANS, of_scope);
        let mut message = Writer::default();
        message.bytes(field::RESOURCE_SPANS, of_resource);
        message.into_bytes()
    }
}
