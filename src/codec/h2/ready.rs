//! Wakes the task of a connection, and tells it for which streams.
//!
//! All that is under way for the streams of a connection is polled by the connection's one task: what streams have
//! to say in one turn of the event loop is then written by one system call, and no stream costs a task of its own.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

#[derive(Default)]
pub struct Ready(Mutex<State>);

#[derive(Default)]
struct State {
    task: Option<Waker>,
    /// Slots that were woken.
    keys: Vec<u32>,
    /// The task was woken, or runs and will look again before it ends.
    awake: bool,
    /// The task was woken while it ran.
    again: bool,
}

/// Shows that the task runs: only then is its list of slots taken.
pub struct Turn(());

impl Ready {
    /// Runs `task`, which is woken by what `ready` finds in it, for a turn. Unless it is at its end, it runs again if it
    /// was woken since it last took the slots.
    #[inline]
    pub fn run<T, R>(
        task: &mut T,
        ready: impl Fn(&T) -> &Ready,
        cx: &mut Context<'_>,
        turn: impl FnOnce(&mut T, &mut Context<'_>, &Turn) -> Poll<R>,
    ) -> Poll<R> {
        ready(task).begin(cx);
        let polled = turn(task, cx, &Turn(()));
        if polled.is_pending() {
            ready(task).end();
        }
        polled
    }

    /// The task begins to run.
    fn begin(&self, cx: &Context<'_>) {
        let mut state = self.state();
        match &mut state.task {
            Some(task) => task.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        state.awake = true;
    }

    /// Takes the slots that were woken.
    pub fn take(&self, _: &Turn, keys: &mut VecDeque<u32>) {
        let mut state = self.state();
        state.again = false;
        keys.extend(state.keys.drain(..));
    }

    /// The task ends its run, and runs again if it was woken since it last looked.
    fn end(&self) {
        let mut state = self.state();
        if state.again || !state.keys.is_empty() {
            state.again = false;
            if let Some(task) = &state.task {
                task.wake_by_ref();
            }
        } else {
            state.awake = false;
        }
    }

    /// Wakes the task.
    pub fn wake(&self) {
        Self::wake_task(&mut self.state());
    }

    /// What wakes the task for the sake of a slot, whatever the slot holds, one exchange after another.
    pub fn slot(ready: &Arc<Ready>, key: u32) -> Slot {
        let mark = Arc::new(Mark {
            ready: ready.clone(),
            key,
            queued: AtomicBool::new(false),
        });
        Slot {
            waker: Waker::from(mark.clone()),
            mark,
        }
    }

    fn wake_task(state: &mut State) {
        state.again = true;
        if !std::mem::replace(&mut state.awake, true)
            && let Some(task) = &state.task
        {
            task.wake_by_ref();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The waker of a slot.
pub struct Slot {
    mark: Arc<Mark>,
    waker: Waker,
}

impl Slot {
    /// To poll what the slot holds. From here on, whoever wakes it puts it in line again.
    pub fn context(&self) -> Context<'_> {
        self.mark.queued.store(false, Ordering::Relaxed);
        Context::from_waker(&self.waker)
    }
}

struct Mark {
    ready: Arc<Ready>,
    key: u32,
    /// It was woken and not polled since.
    queued: AtomicBool,
}

impl Wake for Mark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            let mut state = self.ready.state();
            state.keys.push(self.key);
            Ready::wake_task(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Count(std::sync::atomic::AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_task_is_woken_once_and_finds_every_slot() {
        let count = Arc::new(Count(Default::default()));
        let woken = || count.0.load(Ordering::Relaxed);
        let task = Waker::from(count.clone());
        let mut cx = Context::from_waker(&task);
        let mut ready = Arc::new(Ready::default());
        let (slot, other) = (Ready::slot(&ready, 1), Ready::slot(&ready, 2));
        let (first, second) = (slot.waker.clone(), other.waker.clone());
        let mut run = |turn: &mut dyn FnMut(&Ready, &Turn)| {
            Ready::run(
                &mut ready,
                |ready| ready,
                &mut cx,
                |ready, _, running| {
                    turn(ready, running);
                    Poll::<()>::Pending
                },
            )
        };
        let _pending = run(&mut |_, _| ());
        assert_eq!(woken(), 0);
        first.wake_by_ref();
        first.wake_by_ref();
        second.wake_by_ref();
        assert_eq!(woken(), 1);
        let mut keys = VecDeque::new();
        let _pending = run(&mut |ready, turn| {
            ready.take(turn, &mut keys);
            assert_eq!(keys, [1, 2]);
            // Woken while the task runs: it looks again by itself, and is woken only for what it has not seen.
            let _polled = slot.context();
            first.wake_by_ref();
            ready.take(turn, &mut keys);
            assert_eq!(keys, [1, 2, 1]);
        });
        assert_eq!(woken(), 1);
        let _pending = run(&mut |ready, _| ready.wake());
        assert_eq!(woken(), 2);
    }
}
