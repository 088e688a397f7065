//! The only generic code of the house: what a policy is to a request, and how policies are laid over each other.
//!
//! A policy's call is a plain `async fn` that reads from top to bottom: what stands above `next.call` is the
//! way in, what stands below is the way out, a refusal is `return Err`. Each policy is erased behind
//! [`Handler`], because a fully generic stack of a dozen futures takes the compiler minutes; a policy that a
//! route does not ask for is not in its stack at all.
//!
//! Most policies that most routes have never wait for anything. Such a one is a [`Filter`], and runs in the future of
//! the policy below it, so that it costs no future of its own.

use std::future::Future;

use crate::http::boxed::pinned;
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

    /// The way back. An `Err` is a failure, or a refusal from below, that is no answer yet: what shall stand on that answer
    /// too is added by [`Error::with_header`].
    ///
    /// # Errors
    /// Those of `outcome`, and what is wrong with the answer.
    fn on_response(&self, _state: Self::State<'_>, outcome: Outcome) -> Outcome {
        outcome
    }
}

/// A policy that may call what is below it more than once. The filter behind it in the list sees each of these calls.
pub trait Repeat: Send + Sync + 'static {
    fn apply<G: Filter>(
        &self,
        request: Box<Request>,
        next: Each<'_, G>,
    ) -> impl Future<Output = Outcome> + Send;
}

/// What is below a [`Repeat`]: a filter, and what that has below it.
pub struct Each<'a, G> {
    filter: &'a G,
    next: Next<'a>,
}

impl<G> Copy for Each<'_, G> {}

impl<G> Clone for Each<'_, G> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<'a, G: Filter> Each<'a, G> {
    pub fn new(filter: &'a G, next: Next<'a>) -> Self {
        Each { filter, next }
    }

    pub fn exchange(&self) -> &'a Exchange<'a> {
        self.next.exchange
    }

    /// The same for an exchange within this one.
    pub fn within<'b>(self, exchange: &'b Exchange<'b>) -> Each<'b, G>
    where
        'a: 'b,
    {
        Each::new(self.filter, self.next.within(exchange))
    }

    #[inline]
    pub async fn call(self, mut request: Box<Request>) -> Outcome {
        let Each { filter, next } = self;
        let state = filter.on_request(&mut request, next.exchange)?;
        let outcome = next.call(request).await;
        filter.on_response(state, outcome)
    }
}

/// What became of a request.
pub type Outcome = Result<Box<Response>, Error>;

/// No filter at all.
impl Filter for () {
    type State<'a> = ();

    fn on_request(&self, _: &mut Request, _: &Exchange<'_>) -> Result<(), Error> {
        Ok(())
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

/// A policy that repeats its call, together with the filter below it, as one policy.
struct Repeated<R, G>(R, G);

impl<R: Repeat, G: Filter> Policy for Repeated<R, G> {
    async fn apply(&self, request: Box<Request>, next: Next<'_>) -> Outcome {
        self.0.apply(request, Each::new(&self.1, next)).await
    }
}

/// A policy laid over the handler below it.
struct Layered<P> {
    policy: P,
    next: Box<dyn Handler>,
}

impl<P: Policy> Handler for Layered<P> {
    fn call<'a>(&'a self, request: Box<Request>, exchange: &'a Exchange<'a>) -> Answer<'a> {
        let next = Next::new(&*self.next, exchange);
        pinned(|| self.policy.apply(request, next))
    }
}

/// Policies while they are laid, from the one that is met first to the one above the target.
#[derive(Default)]
pub struct Stack<F> {
    layers: Vec<Layer>,
    /// Those that will run in the future of the next policy, each of which may be absent.
    filters: F,
    /// Some filter is not absent.
    any: bool,
}

/// Lays a policy over what is below it.
type Layer = Box<dyn FnOnce(Box<dyn Handler>) -> Box<dyn Handler>>;

impl<F: Filter + Default> Stack<F> {
    /// A policy that never waits.
    pub fn filter<G: Filter>(self, filter: Option<G>) -> Stack<(F, Option<G>)> {
        Stack {
            any: self.any || filter.is_some(),
            layers: self.layers,
            filters: (self.filters, filter),
        }
    }

    /// A policy that may wait.
    pub fn policy<P: Policy>(mut self, policy: Option<P>) -> Self {
        if let Some(policy) = policy {
            match self.take_filters() {
                Some(filters) => self.lay(Filtered(filters, policy)),
                None => self.lay(policy),
            }
        }
        self
    }

    /// A policy that may call what is below it more than once. A filter has to follow.
    pub fn repeat<R: Repeat>(self, repeat: Option<R>) -> Repeating<F, R> {
        Repeating {
            above: self,
            repeat,
        }
    }

    /// A policy that every route has: what follows needs no room for the filters above it.
    pub fn always<P: Policy>(self, policy: Option<P>) -> Stack<()> {
        Stack {
            layers: self.policy(policy).into_layers(),
            ..Stack::default()
        }
    }

    /// All of them over `target`.
    pub fn over(self, target: Box<dyn Handler>) -> Box<dyn Handler> {
        let from_below = self.into_layers().into_iter().rev();
        from_below.fold(target, |below, layer| layer(below))
    }

    /// Filters without a policy below them are one by themselves.
    fn into_layers(mut self) -> Vec<Layer> {
        if let Some(filters) = self.take_filters() {
            self.lay(filters);
        }
        self.layers
    }

    /// None when every filter is absent.
    fn take_filters(&mut self) -> Option<F> {
        let filters = std::mem::take(&mut self.filters);
        std::mem::take(&mut self.any).then_some(filters)
    }

    fn lay<P: Policy>(&mut self, policy: P) {
        self.layers
            .push(Box::new(|next| Box::new(Layered { policy, next })));
    }
}

/// A stack whose last policy repeats its calls.
pub struct Repeating<F, R> {
    above: Stack<F>,
    repeat: Option<R>,
}

impl<F: Filter + Default, R: Repeat> Repeating<F, R> {
    /// What sees each of these calls.
    pub fn filter<G: Filter>(self, filter: Option<G>) -> Stack<(F, Option<G>)> {
        match self.repeat {
            Some(repeat) => {
                let both = Repeated(repeat, filter);
                self.above.policy(Some(both)).filter(None)
            }
            None => self.above.filter(filter),
        }
    }
}
