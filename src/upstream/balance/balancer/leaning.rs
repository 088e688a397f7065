//! Which endpoint would be picked, as far as that is no matter of chance.

use super::*;

impl Balancer {
    /// The endpoint of `list` that is preferred to all others for which `usable` holds: where two are drawn, the one that wins
    /// against each; in turn, the next. None where any may be drawn.
    pub fn leaning<'a, T: Transport>(
        &self,
        list: &'a EndpointList<T>,
        key: Option<u64>,
        now: Instant,
        usable: impl Fn(&Listed<T>) -> bool,
    ) -> Option<&'a Arc<Endpoint<T>>> {
        let choice = Choice { list, usable };
        let mut all = choice.usable();
        if let (Some((only, _)), None) = (all.next(), all.next()) {
            return Some(&list.entries()[only].endpoint);
        }
        let best = |cost: &dyn Fn(usize, &Listed<T>) -> f64| {
            let costs = choice
                .usable()
                .map(|(index, entry)| (index, cost(index, entry)));
            let least = costs.min_by(|(_, a), (_, b)| a.total_cmp(b));
            least.map(|(index, _)| index)
        };
        let index = match (&self.config, key) {
            (BalancerConfig::PeakEwma, _) => best(&|index, entry| {
                let cost = entry.endpoint.load.cost(now, list.share(index));
                f64::from(cost)
            }),
            (BalancerConfig::LeastRequest, _) => {
                best(&|_, entry| entry.endpoint.load.in_flight() as f64 / f64::from(entry.weight))
            }
            (BalancerConfig::RoundRobin, _) => {
                choice.in_turn(&AtomicUsize::new(self.turn.load(Ordering::Relaxed)))
            }
            (BalancerConfig::Random, _) | (BalancerConfig::Hash(_), None) => None,
            (BalancerConfig::Hash(_), Some(key)) => choice.winner(key),
        };
        index.map(|index| &list.entries()[index].endpoint)
    }
}
