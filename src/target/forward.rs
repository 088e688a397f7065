//! What happens to a request on its way from a route to an upstream.

use http::{HeaderValue, Method};

use super::block::{Build, Options};
use super::mirror::Mirror;
use super::recipient;
use super::rewrite::Rewrite;
use crate::http::error::Error;
use crate::http::exchange::Exchange;
use crate::http::headers;
use crate::http::message::{Request, Response};
use crate::upstream::{Sending, Upstream};

/// Why this proxy refused a request: no upstream can tell.
const OUR_WORD: headers::Names = headers::Names::new(&[headers::REASON]);

/// Sends requests to upstreams.
pub struct Forward {
    rewrite: Option<Rewrite>,
    mirror: Option<Mirror>,
    sending: Sending,
    /// What `Allow` says where no upstream is asked.
    allow: HeaderValue,
}

impl Forward {
    /// None when there is no upstream to mirror to.
    pub(super) fn new(build: &Build<'_>, options: Options<'_>) -> Option<Self> {
        let rewrite = options.rewrite.map(Rewrite::new);
        let sending = Sending {
            resend: build.resend,
            host_from_endpoint: rewrite.as_ref().is_some_and(Rewrite::sends_upstream_host),
        };
        let mirror = match options.mirror {
            None => None,
            Some(mirror) => {
                let shadow = build.upstream(&mirror.upstream)?;
                Some(Mirror::new(mirror, shadow, build.route.as_str(), sending))
            }
        };
        Some(Forward {
            rewrite,
            mirror,
            sending,
            allow: build.allow.clone(),
        })
    }

    pub(super) async fn send(
        &self,
        upstream: &Upstream,
        mut request: Box<Request>,
        exchange: &Exchange<'_>,
    ) -> Result<Box<Response>, Error> {
        if request.method == Method::TRACE {
            recipient::withhold_secrets(&mut request.headers);
        }
        if request.context.ends_here {
            return Ok(Box::new(recipient::answer(&request, &self.allow)));
        }
        if let Some(rewrite) = &self.rewrite {
            rewrite.apply(&mut request)?;
        }
        if let Some(mirror) = &self.mirror {
            mirror.copy(&mut request, exchange);
        }
        let mut response = upstream.send(request, self.sending, exchange).await?;
        response.headers.remove_all(&OUR_WORD);
        Ok(response)
    }
}
