//! The wait for who is no upstream: a database, a broker, a disk. What it comes to is told on the trail of the request.

use std::borrow::Cow;
use std::sync::OnceLock;

use tokio::time::Instant;

use crate::http::error::Error;
use crate::http::exchange::{Exchange, Why};
use crate::http::message::Response;
use crate::http::trail::{Asked, Attempted, LONG, Times};

/// One who is asked, until there is an answer. Dropped before that, it was cut short.
pub struct Asking<'a, A: Fn() -> Asked> {
    exchange: &'a Exchange<'a>,
    asked: A,
    began: Instant,
    /// When there was a connection for this request. Without it: one was there at once.
    there: Option<&'a OnceLock<Instant>>,
    over: bool,
}

impl<'a, A: Fn() -> Asked> Asking<'a, A> {
    /// `asked` says who it is, if there is something to tell. `there` is set when there is a connection, where one has to be
    /// waited for.
    pub fn new(exchange: &'a Exchange<'a>, asked: A, there: Option<&'a OnceLock<Instant>>) -> Self {
        Asking {
            exchange,
            asked,
            began: Instant::now(),
            there,
            over: false,
        }
    }

    /// It has answered. Told is what failed or took long, as of endpoints.
    pub fn end(mut self, result: Result<&Response, &Error>) {
        self.over = true;
        match result {
            Ok(response) if self.began.elapsed() >= LONG || response.status.as_u16() >= 400 => {
                self.tell(response.status.as_str().to_owned().into(), None);
            }
            Ok(_) => {}
            Err(error) => {
                let why = error.cause().map(ToString::to_string);
                let why = why.unwrap_or_else(|| error.detail().to_owned());
                self.tell(error.reason().name.into(), Some(why.into()));
            }
        }
    }

    #[cold]
    fn tell(&self, outcome: Cow<'static, str>, detail: Option<Box<str>>) {
        let since = |at: Instant| {
            let micros = at.saturating_duration_since(self.began).as_micros();
            u32::try_from(micros).unwrap_or(u32::MAX)
        };
        let there = match self.there {
            Some(there) => there.get().copied(),
            None => Some(self.began),
        };
        self.exchange.trail().attempted(Attempted {
            asked: (self.asked)(),
            times: Times {
                began: self.began,
                connects: 0,
                secures: 0,
                asked: there.map_or(0, since),
                sent: there.is_some(),
                ended: since(Instant::now()),
            },
            outcome,
            detail,
        });
    }
}

impl<A: Fn() -> Asked> Drop for Asking<'_, A> {
    fn drop(&mut self) {
        if !self.over {
            let outcome = match self.exchange.why() {
                Why::Overdue | Why::Hurried => "timeout",
                Why::Unwanted => "cancelled",
            };
            self.tell(outcome.into(), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::*;
    use crate::http::body::Body;
    use crate::http::error::OVERLOADED;
    use crate::http::exchange::LastSeen;
    use crate::http::trail::Phases;

    const MOMENT: Duration = Duration::from_millis(20);

    fn orders() -> Asked {
        Asked::Database("orders".into())
    }

    fn told(exchange: &Exchange<'_>) -> Option<(Cow<'static, str>, Phases)> {
        let steps = exchange.take_steps()?;
        let [one] = &steps.attempts[..] else {
            panic!("{steps:?}");
        };
        assert!(matches!(&one.asked, Asked::Database(name) if **name == *"orders"));
        Some((one.outcome.clone(), one.times.phases()))
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_quick_and_good_is_not_told() {
        let last_seen = LastSeen::default();
        let exchange = Exchange::new(&last_seen);
        let there = OnceLock::new();
        let good = Response::new(StatusCode::OK, Body::empty());
        let asking = || Asking::new(&exchange, orders, Some(&there));
        asking().end(Ok(&good));
        assert_eq!(told(&exchange), None);
        let long = asking();
        tokio::time::advance(MOMENT).await;
        there.set(Instant::now()).unwrap();
        tokio::time::advance(LONG).await;
        long.end(Ok(&good));
        let (outcome, phases) = told(&exchange).unwrap();
        assert_eq!((&*outcome, phases.queue), ("200", Some(MOMENT)));
        assert_eq!(phases.first_byte, Some(LONG));
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_told_with_how_far_it_came() {
        let last_seen = LastSeen::default();
        let exchange = Exchange::new(&last_seen);
        let there = OnceLock::new();
        let asking = Asking::new(&exchange, orders, Some(&there));
        tokio::time::advance(MOMENT).await;
        asking.end(Err(&Error::new(OVERLOADED, "no connection is free")));
        let (outcome, phases) = told(&exchange).unwrap();
        assert_eq!((&*outcome, phases.queue), ("overloaded", Some(MOMENT)));
        assert_eq!(phases.first_byte, None);
        for (why, outcome) in [(Why::Overdue, "timeout"), (Why::Unwanted, "cancelled")] {
            let asking = Asking::new(&exchange, orders, Some(&there));
            exchange.cut(asking, why);
            assert_eq!(told(&exchange).unwrap().0, outcome);
        }
    }
}
