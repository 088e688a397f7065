//! Requests that the proxy makes itself, for a route that it knows by name.

use std::sync::Arc;

use crate::http::boxed::boxed;
use crate::http::error::{Error, NO_ROUTE, Progress};
use crate::http::exchange::{Exchange, LastSeen};
use crate::http::message::{Request, Response};
use crate::listener::ProblemDetail;
use crate::proxy::answer::{self, About};
use crate::proxy::finish::{Finish, Riding};
use crate::proxy::integrations::find;
use crate::proxy::known::Known;
use crate::proxy::serving::Route;
use crate::proxy::{Proxy, forwarding, log_failure, spans};
use crate::telemetry::request_metrics::NO_ROUTE as NO_ROUTE_LABEL;

/// The answer to a request of our own.
pub struct Delivered {
    pub response: Box<Response>,
    /// Nobody but the proxy has seen the request.
    pub unsent: bool,
}

impl Proxy {
    /// Has the route of that name answer `request`, with all its policies. It is counted and logged like any other.
    /// Dropping the future ends what is under way for it.
    pub async fn deliver(&self, route: &str, request: Box<Request>) -> Delivered {
        // The guard of what serves must not live across an await.
        let route = self.serving.load().named.get(route).cloned();
        self.enter(route, request).await
    }

    /// The same for a request that somebody has asked to be made, if it is one that the route takes from callers of one of
    /// `listeners`. Beside the answer stands whether it is in an envelope already, where the route has answered.
    ///
    /// # Errors
    /// What the request would come to instead. Nothing is counted then.
    pub async fn execute(
        &self,
        route: &str,
        listeners: &[Arc<str>],
        mut request: Box<Request>,
    ) -> Result<(Box<Response>, bool), Error> {
        let route = find::route(&self.serving.load(), route, listeners, &mut request)?;
        let is_enveloped = route.change_failure.is_some();
        let delivered = self.enter(Some(route), request).await;
        Ok((delivered.response, is_enveloped))
    }

    async fn enter(&self, route: Option<Arc<Route>>, mut request: Box<Request>) -> Delivered {
        forwarding::introduce(&mut request);
        let dialect = request.dialect();
        let finish = {
            let serving = self.serving.load();
            let span = spans::begin_own(&mut request, &serving);
            Finish::new(&mut request, dialect, &self.unrouted, &serving, span)
        };
        let mut riding = boxed(|| Riding::new(finish, Known::of(&request)));
        let (finish, known) = (&mut riding.finish, &riding.known);
        let outcome = match &route {
            Some(route) => {
                finish.routed(route);
                request.context.route = route.name.clone();
                let last_seen = LastSeen::default();
                let exchange = Exchange::new(&last_seen);
                let answer = route.stack.call(request, &exchange);
                finish.watch(answer, &exchange, known).await
            }
            None => Err(Error::new(
                NO_ROUTE,
                "there is no route of this name any more",
            )),
        };
        let mut unsent = false;
        let mut response = match outcome {
            Ok(response) => response,
            Err(error) => {
                unsent = error.progress() == Progress::Unsent;
                let about = About {
                    route: route.as_ref().map_or(NO_ROUTE_LABEL, |route| &*route.name),
                    request_id: known.request_id.as_str(),
                    trace: known.trace,
                    dialect,
                    tells: ProblemDetail::Full,
                };
                log_failure(&error, &about);
                finish.failed(&error, known);
                Box::new(answer::refuse(&error, &about))
            }
        };
        riding.answered(&mut response);
        Delivered { response, unsent }
    }
}
