//! From what decides to what sends: it stays the same for as long as a reload leaves its settings as they are.

use std::sync::Arc;

use super::settings::Settings;
use crate::tls::outbound::Client;
use crate::trace::{Queue, Tracer};

/// What one config's spans go through.
pub struct Pipeline {
    pub tracer: Arc<Tracer>,
    pub(super) settings: Arc<Settings>,
    pub(super) client: Option<Arc<Client>>,
}

impl Pipeline {
    /// For `settings`; `old` itself where it is the same.
    pub fn next(settings: &Arc<Settings>, old: Option<&Arc<Pipeline>>) -> Arc<Pipeline> {
        let client = settings.client(old.and_then(|old| old.client.as_ref()));
        let same = old.filter(|old| {
            let same_client = match (&old.client, &client) {
                (None, None) => true,
                (Some(old), Some(new)) => Arc::ptr_eq(old, new),
                _ => false,
            };
            same_client && old.settings.is_like(settings)
        });
        match same {
            Some(old) => old.clone(),
            None => {
                let queue = Arc::new(Queue::new(settings.limits));
                Arc::new(Pipeline {
                    tracer: Arc::new(Tracer::new(settings.sampler, settings.propagates, queue)),
                    settings: settings.clone(),
                    client,
                })
            }
        }
    }
}
