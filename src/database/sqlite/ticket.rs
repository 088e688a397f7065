//! How long something on a connection may go on, and whether anybody wants it.
//!
//! What runs looks at its own ticket now and then. Beyond that, whoever gives it up interrupts the connection, which also ends what
//! takes long without looking. The connection is within reach of a ticket as long as what it is for runs, and not a moment longer:
//! who comes late interrupts nothing that follows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, InterruptHandle};

pub(super) struct Ticket {
    until: Instant,
    is_given_up: AtomicBool,
    /// While what it is for runs.
    running: Mutex<Option<InterruptHandle>>,
    wakes: Condvar,
}

impl Ticket {
    pub fn new(until: Instant) -> Arc<Self> {
        Arc::new(Ticket {
            until,
            is_given_up: AtomicBool::new(false),
            running: Mutex::default(),
            wakes: Condvar::new(),
        })
    }

    /// Whether it has to end, as its time is over or nobody wants it.
    pub fn is_over(&self) -> bool {
        self.is_given_up.load(Ordering::SeqCst) || Instant::now() >= self.until
    }

    /// How long it may still take.
    pub fn left(&self) -> Duration {
        if self.is_over() {
            Duration::ZERO
        } else {
            self.until.saturating_duration_since(Instant::now())
        }
    }

    /// Waits for so long, or until it has to end. False when it has.
    pub fn wait(&self, most: Duration) -> bool {
        let running = lock(&self.running);
        if self.is_over() {
            return false;
        }
        // Woken too early, one looks too early.
        let _woken = self.wakes.wait_timeout(running, most.min(self.left()));
        !self.is_over()
    }

    /// Ends what it is for.
    pub fn give_up(&self) {
        let running = lock(&self.running);
        self.is_given_up.store(true, Ordering::SeqCst);
        if let Some(connection) = &*running {
            connection.interrupt();
        }
        self.wakes.notify_all();
    }
}

/// The ticket of what runs on a connection.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Mutex<Option<Arc<Ticket>>>>);

/// Something runs while this is there.
pub(super) struct Running<'a> {
    watch: &'a Watch,
    ticket: &'a Ticket,
}

impl Watch {
    pub fn begin<'a>(&'a self, ticket: &'a Arc<Ticket>, connection: &Connection) -> Running<'a> {
        *lock(&self.0) = Some(ticket.clone());
        *lock(&ticket.running) = Some(connection.get_interrupt_handle());
        Running {
            watch: self,
            ticket,
        }
    }

    /// Whether what runs has to end.
    pub fn is_over(&self) -> bool {
        lock(&self.0)
            .as_ref()
            .is_some_and(|ticket| ticket.is_over())
    }

    /// Waits for so long, or until what runs has to end. False when it has, or nothing runs.
    pub fn wait(&self, most: Duration) -> bool {
        let ticket = lock(&self.0).clone();
        ticket.is_some_and(|ticket| ticket.wait(most))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *lock(&self.ticket.running) = None;
        *lock(&self.watch.0) = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDLESS: &str =
        "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";

    #[test]
    fn what_is_given_up_ends_and_what_follows_does_not() {
        let connection = Connection::open_in_memory().unwrap();
        let watch = Watch::default();
        let ticket = Ticket::new(Instant::now() + Duration::from_secs(60));
        let ended = std::thread::scope(|scope| {
            let running = watch.begin(&ticket, &connection);
            scope.spawn(|| {
                // It may come before the statement has begun, and is then without effect on it.
                while !ticket.is_over() || lock(&ticket.running).is_some() {
                    ticket.give_up();
                    std::thread::yield_now();
                }
            });
            let ended = connection.query_row(ENDLESS, [], |row| row.get::<_, i64>(0));
            drop(running);
            ended
        });
        let code = ended.unwrap_err().sqlite_error_code();
        assert_eq!(code, Some(rusqlite::ErrorCode::OperationInterrupted));
        assert!(!watch.wait(Duration::ZERO) && !watch.is_over());
        let statement = "with recursive n(i) as (select 1 union all select i + 1 from n limit 100000) select count(*) from n";
        let mut statement = connection.prepare(statement).unwrap();
        let mut rows = statement.query([]).unwrap();
        ticket.give_up();
        assert!(rows.next().unwrap().is_some());
    }

    #[test]
    fn time_ends_it_as_well() {
        let ticket = Ticket::new(Instant::now());
        assert!(ticket.is_over() && ticket.left().is_zero());
        let ticket = Ticket::new(Instant::now() + Duration::from_secs(60));
        assert!(!ticket.is_over() && ticket.left() > Duration::from_secs(50));
    }
}
