//! Where a route's requests end: at an upstream, or in an answer made here.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderValue, Method};

use super::Config;
use super::mirror::Mirror;
use super::recipient;
use super::redirect::Redirect;
use super::respond::Respond;
use super::rewrite::Rewrite;
use super::split::Split;
use crate::http::error::Error;
use crate::http::headers;
use crate::http::message::{Request, Response};
use crate::policy::stack::{Answer, Handler};
use crate::upstream::{Resend, Upstream};
use crate::value::Name;

/// Why this proxy refused a request: no upstream can tell.
const OUR_WORD: headers::Names = headers::Names::new(&["outrigger-reason"]);

/// The bottom of a route's stack.
pub enum Target {
    Upstream(Forward, Arc<Upstream>),
    Split(Forward, Split<Arc<Upstream>>),
    Respond(Respond),
    Redirect(Redirect),
}

/// What happens to a request on its way to an upstream.
pub struct Forward {
    rewrite: Option<Rewrite>,
    mirror: Option<Mirror>,
    /// What is sent once more at once.
    resend: Resend,
    /// What `Allow` says where no upstream is asked.
    allow: HeaderValue,
}

impl Target {
    /// `None` when the config names no target, or an upstream that is not there: its check says which.
    pub fn new(
        config: &Config,
        upstreams: &BTreeMap<Name, Arc<Upstream>>,
        resend: Resend,
        route: &Name,
    ) -> Option<Self> {
        let upstream = |name: &str| upstreams.get(&name.parse::<Name>().ok()?).cloned();
        let mirror = match &config.mirror {
            None => None,
            Some(mirror) => {
                let shadow = upstream(&mirror.upstream)?;
                Some(Mirror::new(mirror, shadow, route.as_str()))
            }
        };
        let forward = Forward {
            rewrite: config.rewrite.as_ref().map(Rewrite::new),
            mirror,
            resend,
            allow: recipient::allow(config),
        };
        if let Some(name) = &config.upstream {
            Some(Target::Upstream(forward, upstream(name)?))
        } else if let Some(sides) = &config.split {
            let sides: Option<Vec<_>> = sides
                .iter()
                .map(|side| {
                    Some((
                        side.upstream.as_str(),
                        side.weight,
                        upstream(&side.upstream)?,
                    ))
                })
                .collect();
            Some(Target::Split(
                forward,
                Split::new(sides?, config.sticky.clone())?,
            ))
        } else if let Some(respond) = &config.respond {
            Some(Target::Respond(Respond::new(respond)))
        } else {
            config
                .redirect
                .as_ref()
                .map(|redirect| Target::Redirect(Redirect::new(redirect)))
        }
    }
}

impl Handler for Target {
    fn call<'a>(&'a self, request: Box<Request>) -> Answer<'a> {
        match self {
            Target::Upstream(forward, upstream) => Box::pin(forward.send(upstream, request)),
            Target::Split(forward, split) => {
                let settled = request.context.upstream.as_ref();
                let settled = settled.and_then(|name| split.values().find(|u| u.name() == name));
                let upstream = settled.unwrap_or_else(|| split.choose(&request));
                Box::pin(forward.send(upstream, request))
            }
            Target::Respond(respond) => respond.call(request),
            Target::Redirect(redirect) => redirect.call(request),
        }
    }
}

/// Settles which upstream gets a request before its policies see it: laid over a stack in which a value names it.
pub struct SettleUpstream {
    names: Names,
    next: Box<dyn Handler>,
}

enum Names {
    One(Arc<str>),
    Split(Split<Arc<str>>),
}

impl SettleUpstream {
    /// `next` as it is where no upstream gets anything.
    pub fn over(next: Box<dyn Handler>, config: &Config) -> Box<dyn Handler> {
        let names = match (&config.upstream, &config.split) {
            (Some(name), _) => Some(Names::One(name.as_str().into())),
            (None, Some(sides)) => {
                let sides = sides.iter().map(|side| {
                    (
                        side.upstream.as_str(),
                        side.weight,
                        side.upstream.as_str().into(),
                    )
                });
                Split::new(sides, config.sticky.clone()).map(Names::Split)
            }
            (None, None) => None,
        };
        match names {
            Some(names) => Box::new(SettleUpstream { names, next }),
            None => next,
        }
    }
}

impl Handler for SettleUpstream {
    fn call<'a>(&'a self, mut request: Box<Request>) -> Answer<'a> {
        let name = match &self.names {
            Names::One(name) => name,
            Names::Split(split) => split.choose(&request),
        };
        request.context.upstream = Some(name.clone());
        self.next.call(request)
    }
}

impl Forward {
    async fn send(
        &self,
        upstream: &Upstream,
        mut request: Box<Request>,
    ) -> Result<Box<Response>, Error> {
        if request.method == Method::TRACE {
            recipient::withhold_secrets(&mut request.headers);
        }
        if request.context.ends_here {
            return Ok(Box::new(recipient::answer(&request, &self.allow)));
        }
        if let Some(rewrite) = &self.rewrite {
            rewrite.apply(&mut request)?;
            request.context.host_from_endpoint = rewrite.sends_upstream_host();
        }
        if let Some(mirror) = &self.mirror {
            mirror.copy(&mut request);
        }
        let mut response = upstream.send(request, self.resend).await?;
        response.headers.remove_all(&OUR_WORD);
        Ok(response)
    }
}
