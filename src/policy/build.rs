//! What a policy is built with: its route, what is kept of it over reloads, and a way to ask other servers.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::fetch::{Fetch, Nowhere};

/// Facts that outlive a reload, by route name and type: tokens spent, failures seen; never limits, so that new
/// limits apply to old facts at once.
#[derive(Default)]
pub struct Kept(HashMap<(Arc<str>, TypeId), Facts>);

/// What a policy knows, and the key of the policy.
struct Facts {
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
        let fate = |(at, known): (&(Arc<str>, TypeId), &Facts)| Fate {
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
}

/// The states of a route's policies, by their keys.
#[derive(Default)]
pub struct States(Vec<(&'static str, Arc<dyn ShowState>)>);

impl States {
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

    /// Has the admin API show the state of the policy, under its key.
    pub fn show(&mut self, facts: Arc<dyn ShowState>) {
        self.states.0.push((self.key, facts));
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
            .and_then(|known| known.facts.clone().downcast::<T>().ok())
            .unwrap_or_default();
        self.note(key, facts.clone());
        facts
    }

    fn note(&mut self, at: (Arc<str>, TypeId), facts: Arc<dyn Any + Send + Sync>) {
        let key = self.key;
        self.new.0.insert(at, Facts { key, facts });
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
        let facts = choose(old.and_then(|known| known.facts.clone().downcast::<T>().ok()));
        self.note(key, facts.clone());
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
