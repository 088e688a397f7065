//! What a policy is built with: its route, what is kept of it over reloads, and a way to ask other servers.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::fetch::{Fetch, Nowhere};
use crate::http::message::Request;

/// What a policy knows beyond its config, and keeps over reloads.
pub trait Facts: Default + Send + Sync + 'static {
    /// The same facts, apart from these: what happens to one is not known to the other. A rehearsal is given them, and what
    /// that does not ask for may be left out.
    fn apart(&self) -> Self;
}

/// Facts that outlive a reload, by route name and type: tokens spent, failures seen; never limits, so that new
/// limits apply to old facts at once.
#[derive(Default)]
pub struct Kept(HashMap<(Arc<str>, TypeId), Known>);

/// The facts of a policy, and its key.
struct Known {
    key: &'static str,
    facts: Arc<dyn Any + Send + Sync>,
}

/// What becomes of the facts of a policy when another config serves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fate {
    pub route: Arc<str>,
    /// The policy's key.
    pub key: &'static str,
    /// Whether the next config goes on with them; otherwise they are lost.
    pub kept: bool,
}

impl Kept {
    /// The facts of type `T` that a policy of `route` has, when it has that policy.
    pub fn of<T: Send + Sync + 'static>(&self, route: Arc<str>) -> Option<Arc<T>> {
        let found = self.0.get(&(route, TypeId::of::<T>()))?;
        found.facts.clone().downcast::<T>().ok()
    }

    /// What becomes of these facts when the config serves that has `next`, in the order of the routes.
    pub fn fates(&self, next: &Kept) -> Vec<Fate> {
        let fate = |(at, known): (&(Arc<str>, TypeId), &Known)| Fate {
            route: at.0.clone(),
            key: known.key,
            kept: next
                .0
                .get(at)
                .is_some_and(|next| Arc::ptr_eq(&next.facts, &known.facts)),
        };
        let mut fates: Vec<Fate> = self.0.iter().map(fate).collect();
        fates.sort();
        fates
    }
}

/// What `GET /routes/{name}` tells of a policy beside its settings: the state of its facts now.
pub trait ShowState: Send + Sync {
    fn state(&self) -> Value;

    /// The same, with what is known of whoever sent `request`.
    fn state_for(&self, _request: &Request) -> Value {
        self.state()
    }
}

/// The states of a route's policies, by their keys.
#[derive(Default)]
pub struct States(Vec<(&'static str, Arc<dyn ShowState>)>);

impl States {
    /// How they are now for whoever sent `request`.
    pub fn now_for(&self, request: &Request) -> Value {
        let states = self.0.iter();
        states
            .map(|(key, facts)| ((*key).to_owned(), facts.state_for(request)))
            .collect()
    }

    /// How they are now.
    pub fn now(&self) -> Value {
        let states = self.0.iter();
        states
            .map(|(key, facts)| ((*key).to_owned(), facts.state()))
            .collect()
    }
}

/// What a policy is given while its route is built.
pub struct Build<'a> {
    pub route: Arc<str>,
    /// Of the policy that is built.
    pub(super) key: &'static str,
    old: &'a Kept,
    new: &'a mut Kept,
    states: States,
    fetch: Option<Arc<dyn Fetch>>,
    rehearses: bool,
}

impl<'a> Build<'a> {
    pub fn new(route: Arc<str>, old: &'a Kept, new: &'a mut Kept) -> Self {
        Build {
            route,
            key: "",
            old,
            new,
            states: States::default(),
            fetch: None,
            rehearses: false,
        }
    }

    /// Has policies be built to show what they would do: with facts apart from those that serve.
    #[must_use]
    pub fn rehearsing(mut self) -> Self {
        self.rehearses = true;
        self
    }

    /// Whether facts that serve are to be left alone.
    pub fn rehearses(&self) -> bool {
        self.rehearses
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

    /// Has the admin API show the state of the policy, under its key.
    pub fn show(&mut self, facts: Arc<dyn ShowState>) {
        self.states.0.push((self.key, facts));
    }

    /// What was given to [`Build::show`].
    pub fn into_states(self) -> States {
        self.states
    }

    /// The facts of type `T` that this route had before the reload, or fresh ones.
    pub fn keep<T: Facts>(&mut self) -> Arc<T> {
        let key = (self.route.clone(), TypeId::of::<T>());
        let of = |kept: &Kept| {
            let facts = kept.0.get(&key)?.facts.clone();
            facts.downcast::<T>().ok()
        };
        let facts = match (of(self.new), of(self.old)) {
            (Some(facts), _) => facts,
            (None, Some(old)) if self.rehearses => Arc::new(old.apart()),
            (None, Some(old)) => old,
            (None, None) => Arc::default(),
        };
        self.note(key, facts.clone());
        facts
    }

    fn note(&mut self, at: (Arc<str>, TypeId), facts: Arc<dyn Any + Send + Sync>) {
        let key = self.key;
        self.new.0.insert(at, Known { key, facts });
    }

    /// Like [`Build::keep`], for facts that belong to certain settings: `choose` is given those that this route
    /// had before the reload, and hands back them or others in their place. The old ones are not to be changed:
    /// they serve on if the new config is refused. Nor are they to be handed back to a [rehearsal](Build::rehearses).
    pub fn keep_if<T: Send + Sync + 'static>(
        &mut self,
        choose: impl FnOnce(Option<Arc<T>>) -> Arc<T>,
    ) -> Arc<T> {
        let key = (self.route.clone(), TypeId::of::<T>());
        let old = self.old.0.get(&key);
        let facts = choose(old.and_then(|known| known.facts.clone().downcast::<T>().ok()));
        self.note(key, facts.clone());
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    impl Facts for AtomicU32 {
        fn apart(&self) -> Self {
            AtomicU32::new(self.load(Ordering::Relaxed))
        }
    }

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
    fn what_becomes_of_facts_is_what_became_of_them() {
        let mut first = Kept::default();
        build("pay", &Kept::default(), &mut first).keep::<AtomicU32>();
        build("ship", &Kept::default(), &mut first).keep::<AtomicU32>();
        let mut second = Kept::default();
        build("pay", &first, &mut second).keep::<AtomicU32>();
        let fates = first.fates(&second);
        let told: Vec<_> = fates.iter().map(|f| (&*f.route, f.kept)).collect();
        assert_eq!(told, [("pay", true), ("ship", false)]);
    }

    #[test]
    fn a_rehearsal_knows_what_is_known_and_changes_nothing() {
        let mut first = Kept::default();
        let facts = build("pay", &Kept::default(), &mut first).keep::<AtomicU32>();
        facts.store(7, Ordering::Relaxed);
        let mut apart = Kept::default();
        let mut rehearsal = build("pay", &first, &mut apart).rehearsing();
        let copied = rehearsal.keep::<AtomicU32>();
        assert_eq!(copied.fetch_add(1, Ordering::Relaxed), 7);
        assert_eq!(facts.load(Ordering::Relaxed), 7);
        assert_eq!(rehearsal.keep::<AtomicU32>().load(Ordering::Relaxed), 8);
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
