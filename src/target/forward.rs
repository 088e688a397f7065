//! What happens to a request on its way from a route to an upstream.

use std::sync::Arc;

use http::{HeaderValue, Method};

use super::block::{Build, Options};
use super::mirror::Mirror;
use super::recipient;
use super::rehearsal::{End, Rehearsing, Told};
use super::rewrite::Rewrite;
use crate::http::error::Error;
use crate::http::exchange::Exchange;
use crate::http::handler::Handler;
use crate::http::headers;
use crate::http::message::{Request, Response};
use crate::upstream::{Sending, Upstream};

/// Why this proxy refused a request: no upstream can tell.
const OUR_WORD: headers::Names = headers::Names::new(&[headers::REASON]);

/// Sends requests to upstreams.
pub struct Forward {
    way: Way,
    mirror: Option<Mirror>,
    sending: Sending,
}

/// What a request is made before an upstream gets it.
pub(super) struct Way {
    rewrite: Option<Rewrite>,
    /// What `Allow` says where no upstream is asked.
    allow: HeaderValue,
}

impl Way {
    pub(super) fn new(build: &Build<'_>, options: Options<'_>) -> Self {
        Way {
            rewrite: options.rewrite.map(Rewrite::new),
            allow: build.allow.clone(),
        }
    }

    /// Whether `Host` is to be the name of the endpoint that is picked.
    pub(super) fn sends_upstream_host(&self) -> bool {
        self.rewrite
            .as_ref()
            .is_some_and(Rewrite::sends_upstream_host)
    }

    /// Makes `request` what goes on; or its answer, where it goes no further.
    #[inline(always)]
    pub(super) fn prepare(&self, request: &mut Request) -> Result<Option<Box<Response>>, Error> {
        if request.method == Method::TRACE {
            recipient::withhold_secrets(&mut request.headers);
        }
        if request.context.ends_here {
            return Ok(Some(Box::new(recipient::answer(request, &self.allow))));
        }
        if let Some(rewrite) = &self.rewrite {
            rewrite.apply(request)?;
        }
        Ok(None)
    }
}

impl Forward {
    /// None when there is no upstream to mirror to.
    pub(super) fn new(build: &Build<'_>, options: Options<'_>) -> Option<Self> {
        let way = Way::new(build, options);
        let sending = Sending {
            resend: build.resend,
            host_from_endpoint: way.sends_upstream_host(),
        };
        let mirror = match options.mirror {
            None => None,
            Some(mirror) => {
                let shadow = build.upstream(&mirror.upstream)?;
                Some(Mirror::new(mirror, shadow, build.route.as_str(), sending))
            }
        };
        Some(Forward {
            way,
            mirror,
            sending,
        })
    }

    pub(super) async fn send(
        &self,
        upstream: &Upstream,
        mut request: Box<Request>,
        exchange: &Exchange<'_>,
    ) -> Result<Box<Response>, Error> {
        if let Some(answer) = self.way.prepare(&mut request)? {
            return Ok(answer);
        }
        if let Some(mirror) = &self.mirror {
            mirror.copy(&mut request, exchange);
        }
        let mut response = upstream.send(request, self.sending, exchange).await?;
        response.headers.remove_all(&OUR_WORD);
        Ok(response)
    }
}

/// Tells which upstream would get a request, which `upstream` says, and what that would be sent.
pub(super) fn told(
    rehearsing: &Rehearsing<'_>,
    options: Options<'_>,
    upstream: impl Fn(&Request) -> Arc<str> + Send + Sync + 'static,
) -> Box<dyn Handler> {
    let way = Way::new(&rehearsing.build, options);
    Box::new(Told {
        rehearsal: rehearsing.rehearsal.clone(),
        end_of: move |request: &mut Request| {
            if let Some(answer) = way.prepare(request)? {
                return Ok(End::Answer(answer));
            }
            Ok(End::Upstream {
                name: upstream(request),
                host_of_endpoint: way.sends_upstream_host(),
            })
        },
    })
}
