//! The only generic code of the house: how policies are laid over a handler, and how their state is kept.
//!
//! A policy's call is a plain `async fn` that reads from top to bottom: what stands above `next.call` is the
//! way in, what stands below is the way out, a refusal is `return Err`. Each policy is erased behind
//! [`Handler`], because a fully generic stack of a dozen futures takes the compiler minutes; a policy that a
//! route does not ask for is not in its stack at all.
//!
//! Most policies that most routes have never wait for anything. Such a one is a [`Filter`], and runs in the future of
//! the policy below it, so that it costs no future of its own.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use tower::Layer;

use crate::fetch::{Fetch, Nowhere};
use crate::http::error::Error;
use crate::http::exchange::Exchange;
pub use crate::http::handler::{Answer, Handler, Next};
use crate::http::message::{Request, Response};

/// One policy of a route.
pub trait Policy: Send + Sync + 'static {
    /// Called once a request. `next` may be called never (a refusal), once, or again (a retry).
    fn apply(
        &self,
        request: Box<Request>,
        next: Next<'_>,
    ) -> impl Future<Output = Result<Box<Response>, Error>> + Send;
}

/// A policy that waits for nothing: it looks at a request on its way in, and at the answer on its way back.
pub trait Filter: Send + Sync + 'static {
    /// What is to be known on the way back. It is dropped without [`Filter::on_response`] when the caller goes away, when a
    /// time limit passes, or when a filter that follows refuses the request.
    type State<'a>: Send;

    /// The way in.
    ///
    /// # Errors
    /// Why the request is refused.
    fn on_request<'a>(
        &'a self,
        request: &mut Request,
        exchange: &'a Exchange<'a>,
    ) -> Result<Self::State<'a>, Error>;

    /// The way back.
    ///
    /// # Errors
    /// Those of `outcome`, and what is wrong with the answer.
    fn on_response(&self, state: Self::State<'_>, outcome: Outcome) -> Outcome;
}

/// What became of a request.
pub type Outcome = Result<Box<Response>, Error>;

/// No filter at all.
impl Filter for () {
    type State<'a> = ();

    fn on_request(&self, _: &mut Request, _: &Exchange<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn on_response(&self, (): (), outcome: Outcome) -> Outcome {
        outcome
    }
}

impl<G: Filter> Filter for Option<G> {
    type State<'a> = Option<G::State<'a>>;

    #[inline]
    fn on_request<'a>(
        &'a self,
        request: &mut Request,
        exchange: &'a Exchange<'a>,
    ) -> Result<Self::State<'a>, Error> {
        self.as_ref()
            .map(|filter| filter.on_request(request, exchange))
            .transpose()
    }

    #[inline]
    fn on_response(&self, state: Self::State<'_>, outcome: Outcome) -> Outcome {
        match (self, state) {
            (Some(filter), Some(state)) => filter.on_response(state, outcome),
            _ => outcome,
        }
    }
}

/// One after the other on the way in, in the opposite order on the way back. Pairs in pairs make any number.
impl<A: Filter, B: Filter> Filter for (A, B) {
    type State<'a> = (A::State<'a>, B::State<'a>);

    #[inline]
    fn on_request<'a>(
        &'a self,
        request: &mut Request,
        exchange: &'a Exchange<'a>,
    ) -> Result<Self::State<'a>, Error> {
        let first = self.0.on_request(request, exchange)?;
        Ok((first, self.1.on_request(request, exchange)?))
    }

    #[inline]
    fn on_response(&self, state: Self::State<'_>, outcome: Outcome) -> Outcome {
        let outcome = self.1.on_response(state.1, outcome);
        self.0.on_response(state.0, outcome)
    }
}

/// A policy together with filters above it, as one policy.
struct Filtered<G, P>(G, P);

impl<G: Filter, P: Policy> Policy for Filtered<G, P> {
    async fn apply(&self, mut request: Box<Request>, next: Next<'_>) -> Outcome {
        let state = self.0.on_request(&mut request, next.exchange)?;
        let outcome = self.1.apply(request, next).await;
        self.0.on_response(state, outcome)
    }
}

impl<G: Filter> Policy for G {
    async fn apply(&self, mut request: Box<Request>, next: Next<'_>) -> Outcome {
        let state = self.on_request(&mut request, next.exchange)?;
        let outcome = next.call(request).await;
        self.on_response(state, outcome)
    }
}

/// A policy laid over the handler below it.
struct With<P> {
    policy: Arc<P>,
    next: Box<dyn Handler>,
}

impl<P: Policy> Handler for With<P> {
    fn call<'a>(&'a self, request: Box<Request>, exchange: &'a Exchange<'a>) -> Answer<'a> {
        Box::pin(self.policy.apply(request, Next::new(&*self.next, exchange)))
    }
}

/// The layer of a policy with filters above it, of which either may be absent.
pub struct FilteredLayer<G, P> {
    both: WithLayer<Filtered<G, P>>,
    filter: WithLayer<G>,
    policy: WithLayer<P>,
}

impl<G: Filter, P: Policy> FilteredLayer<G, P> {
    pub fn new(filter: Option<G>, policy: Option<P>) -> Self {
        let (both, filter, policy) = match (filter, policy) {
            (Some(filter), Some(policy)) => (Some(Filtered(filter, policy)), None, None),
            (filter, policy) => (None, filter, policy),
        };
        FilteredLayer {
            both: WithLayer::new(both),
            filter: WithLayer::new(filter),
            policy: WithLayer::new(policy),
        }
    }
}

impl<G: Filter, P: Policy> Layer<Box<dyn Handler>> for FilteredLayer<G, P> {
    type Service = Box<dyn Handler>;

    fn layer(&self, next: Box<dyn Handler>) -> Box<dyn Handler> {
        let next = self.policy.layer(next);
        self.both.layer(self.filter.layer(next))
    }
}

/// The layer of a policy: without one it hands back the handler below as it is, so an absent policy costs nothing.
pub struct WithLayer<P>(Option<Arc<P>>);

impl<P: Policy> WithLayer<P> {
    pub fn new(policy: Option<P>) -> Self {
        WithLayer(policy.map(Arc::new))
    }
}

impl<P: Policy> Layer<Box<dyn Handler>> for WithLayer<P> {
    type Service = Box<dyn Handler>;

    fn layer(&self, next: Box<dyn Handler>) -> Box<dyn Handler> {
        match &self.0 {
            None => next,
            Some(policy) => Box::new(With {
                policy: policy.clone(),
                next,
            }),
        }
    }
}

/// Facts that outlive a reload, by route name and type: tokens spent, failures seen; never limits, so that new
/// limits apply to old facts at once.
#[derive(Default)]
pub struct Kept(HashMap<(Arc<str>, TypeId), Arc<dyn Any + Send + Sync>>);

impl Kept {
    /// The facts of type `T` that a policy of `route` has, when it has that policy.
    pub fn of<T: Send + Sync + 'static>(&self, route: Arc<str>) -> Option<Arc<T>> {
        let facts = self.0.get(&(route, TypeId::of::<T>()))?;
        facts.clone().downcast::<T>().ok()
    }
}

/// What `GET /routes/{name}` tells of a policy beside its settings: the state of its facts now.
pub trait Shown: Send + Sync {
    fn state(&self) -> serde_json::Value;
}

/// The states of a route's policies, by their keys.
pub type States = Vec<(&'static str, Arc<dyn Shown>)>;

/// What a policy is given while its route is built.
pub struct Build<'a> {
    pub route: Arc<str>,
    old: &'a Kept,
    new: &'a mut Kept,
    states: States,
    fetch: Option<Arc<dyn Fetch>>,
}

impl<'a> Build<'a> {
    pub fn new(route: Arc<str>, old: &'a Kept, new: &'a mut Kept) -> Self {
        Build {
            route,
            old,
            new,
            states: States::new(),
            fetch: None,
        }
    }

    /// Gives policies a way to ask other servers for what they need.
    #[must_use]
    pub fn with_fetch(mut self, fetch: &Arc<dyn Fetch>) -> Self {
        self.fetch = Some(fetch.clone());
        self
    }

    /// Asks other servers; without a way to do so, every call fails.
    pub fn fetch(&self) -> Arc<dyn Fetch> {
        self.fetch.clone().unwrap_or_else(|| Arc::new(Nowhere))
    }

    /// Has the admin API show the state of the policy under `key`.
    pub fn show(&mut self, key: &'static str, facts: Arc<dyn Shown>) {
        self.states.push((key, facts));
    }

    /// What was given to [`Build::show`].
    pub fn into_states(self) -> States {
        self.states
    }

    /// The facts of type `T` that this route had before the reload, or fresh ones.
    pub fn keep<T: Default + Send + Sync + 'static>(&mut self) -> Arc<T> {
        let key = (self.route.clone(), TypeId::of::<T>());
        let found = self.new.0.get(&key).or_else(|| self.old.0.get(&key));
        let facts = found
            .and_then(|facts| facts.clone().downcast::<T>().ok())
            .unwrap_or_default();
        self.new.0.insert(key, facts.clone());
        facts
    }

    /// Like [`Build::keep`], for facts that belong to certain settings: `choose` is given those that this route
    /// had before the reload, and hands back them or others in their place. The old ones are not to be changed:
    /// they serve on if the new config is refused.
    pub fn keep_if<T: Send + Sync + 'static>(
        &mut self,
        choose: impl FnOnce(Option<Arc<T>>) -> Arc<T>,
    ) -> Arc<T> {
        let key = (self.route.clone(), TypeId::of::<T>());
        let old = self.old.0.get(&key);
        let facts = choose(old.and_then(|facts| facts.clone().downcast::<T>().ok()));
        self.new.0.insert(key, facts.clone());
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn build<'a>(route: &str, old: &'a Kept, new: &'a mut Kept) -> Build<'a> {
        Build::new(route.into(), old, new)
    }

    #[test]
    fn facts_follow_the_name_of_their_route() {
        let mut first = Kept::default();
        let facts = build("pay", &Kept::default(), &mut first).keep::<AtomicU32>();
        facts.store(7, Ordering::Relaxed);

        let mut second = Kept::default();
        let same = build("pay", &first, &mut second).keep::<AtomicU32>();
        let other = build("ship", &first, &mut second).keep::<AtomicU32>();
        assert_eq!(
            (same.load(Ordering::Relaxed), other.load(Ordering::Relaxed)),
            (7, 0)
        );
    }

    #[test]
    fn facts_of_other_settings_are_replaced() {
        let mut first = Kept::default();
        build("pay", &Kept::default(), &mut first).keep_if(|_| Arc::new("a"));
        let mut second = Kept::default();
        let mut chosen = Vec::new();
        let facts = build("pay", &first, &mut second).keep_if(|old: Option<Arc<&str>>| {
            chosen.extend(old);
            Arc::new("b")
        });
        assert_eq!((*chosen[0], *facts), ("a", "b"));
    }

    #[test]
    fn facts_of_a_removed_route_are_forgotten() {
        let mut first = Kept::default();
        build("pay", &Kept::default(), &mut first)
            .keep::<AtomicU32>()
            .store(7, Ordering::Relaxed);
        let second = Kept::default();
        let mut third = Kept::default();
        let again = build("pay", &second, &mut third).keep::<AtomicU32>();
        assert_eq!(again.load(Ordering::Relaxed), 0);
    }
}
