//! Reads configs apart from the control thread, which goes on answering probes and signals while a file does not answer.
//!
//! A file may not answer for ever: that of a network file system whose server is gone. Whoever asks for it waits in the
//! kernel and cannot be called back, so each reading has a thread of its own, and one that waits too long is given up.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::Source;
use crate::admin::ReloadOutcome;
use crate::config::{self, Loaded, Report};
use crate::value::regular::Progress;

/// How often a reading is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// After so many looks at the same question, its file does not answer.
const PATIENCE: u32 = 10;
/// What was refused is read again after this time: it may be that something only lacked for a moment, or that its time
/// has come.
const AGAIN: Duration = Duration::from_secs(30);
/// Readings that were given up and have not ended. With more, none is begun.
const MOST_STUCK: usize = 4;
/// As much as the main thread has, which reads the first config.
const STACK: usize = 8 << 20;

type Load = Arc<dyn Fn() -> Result<Loaded, Report> + Send + Sync>;
pub type Answer = oneshot::Sender<Result<ReloadOutcome, String>>;

/// One reading after another.
pub struct Readings {
    /// None: there is nothing to read.
    load: Option<Load>,
    under_way: Option<UnderWay>,
    /// Asked for while one is under way, which may have read already what has changed since.
    next: Option<Wanted>,
    /// When what was refused is read again.
    again: Option<Instant>,
    stuck: Vec<Stuck>,
}

/// Who waits for a reading.
#[derive(Default)]
struct Wanted {
    ordered: bool,
    answers: Vec<Answer>,
}

/// What came of a reading.
pub struct Read {
    pub found: Found,
    /// Somebody asked for it, and is told whatever comes of it.
    pub ordered: bool,
    pub answers: Answers,
}

/// Everybody who waits for a reading.
pub struct Answers(Vec<Answer>);

pub enum Found {
    Config(Box<Loaded>),
    Wrong(Report),
    /// This file does not answer.
    Silent(PathBuf),
    /// There was no reading, and why.
    Failed(String),
    /// There is nothing to read.
    BuiltIn,
}

struct UnderWay {
    found: oneshot::Receiver<Found>,
    wanted: Wanted,
    progress: Arc<Progress>,
    thread: Option<JoinHandle<()>>,
    next_look: Instant,
    /// The question that was open at the last look, and at how many looks before.
    seen: (u64, u32),
}

struct Stuck {
    thread: JoinHandle<()>,
    path: PathBuf,
}

impl Readings {
    pub fn new(source: &Source) -> Self {
        match source {
            Source::Path(path) => {
                let path = path.clone();
                Self::with(Some(Arc::new(move || config::load(&path))))
            }
            Source::BuiltIn => Self::with(None),
        }
    }

    fn with(load: Option<Load>) -> Self {
        Readings {
            load,
            under_way: None,
            next: None,
            again: None,
            stuck: Vec::new(),
        }
    }

    /// Has the config read because somebody says so.
    pub fn order(&mut self, answer: Option<Answer>) {
        self.want(Wanted {
            ordered: true,
            answers: answer.into_iter().collect(),
        });
    }

    /// Has the config read because it may have changed.
    pub fn look(&mut self) {
        self.want(Wanted::default());
    }

    /// Has the config read again after a while, unless what was read serves.
    pub fn note(&mut self, serves: bool) {
        self.again = (!serves).then(|| Instant::now() + AGAIN);
    }

    /// Completes when a reading has ended or is given up.
    ///
    /// Dropping the future loses nothing.
    pub async fn ended(&mut self) -> Read {
        loop {
            let Some(under_way) = &mut self.under_way else {
                match self.again {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
                self.look();
                continue;
            };
            let found = tokio::select! {
                biased;
                found = &mut under_way.found => found.unwrap_or_else(|_| {
                    Found::Failed("reading the config ended by a fault of the proxy".to_owned())
                }),
                () = sleep_until(under_way.next_look) => match under_way.silent() {
                    Some(path) => Found::Silent(path),
                    None => continue,
                },
            };
            if let Some(UnderWay { wanted, thread, .. }) = self.under_way.take() {
                if let (Found::Silent(path), Some(thread)) = (&found, thread) {
                    let path = path.clone();
                    self.stuck.push(Stuck { thread, path });
                }
                if let Some(next) = self.next.take() {
                    self.begin(next);
                }
                return Read {
                    found,
                    ordered: wanted.ordered,
                    answers: Answers(wanted.answers),
                };
            }
        }
    }

    fn want(&mut self, mut wanted: Wanted) {
        match (&self.under_way, &mut self.next) {
            (None, _) => self.begin(wanted),
            (Some(_), Some(next)) => {
                next.ordered |= wanted.ordered;
                next.answers.append(&mut wanted.answers);
            }
            (Some(_), next) => *next = Some(wanted),
        }
    }

    fn begin(&mut self, wanted: Wanted) {
        self.again = None;
        let (sender, found) = oneshot::channel();
        let progress = Arc::new(Progress::default());
        let thread = self.spawn(sender, progress.clone());
        self.under_way = Some(UnderWay {
            found,
            wanted,
            progress,
            thread,
            next_look: Instant::now() + LOOK,
            seen: (0, 0),
        });
    }

    /// The thread that will send what it finds; without one, the reason is sent.
    fn spawn(
        &mut self,
        sender: oneshot::Sender<Found>,
        progress: Arc<Progress>,
    ) -> Option<JoinHandle<()>> {
        self.stuck.retain(|stuck| !stuck.thread.is_finished());
        let refusal = match (&self.load, self.stuck.last()) {
            (None, _) => Found::BuiltIn,
            (Some(_), Some(stuck)) if self.stuck.len() >= MOST_STUCK => {
                Found::Silent(stuck.path.clone())
            }
            (Some(load), _) => {
                let load = load.clone();
                // Dropped unsent where no thread can be had.
                let (give, take) = std::sync::mpsc::sync_channel(1);
                let thread = thread::Builder::new().name("config".to_owned());
                let spawned = thread.stack_size(STACK).spawn(move || {
                    let Ok(sender) = take.recv() else { return };
                    let sender: oneshot::Sender<Found> = sender;
                    progress.show();
                    // Whoever gave it up has dropped the other end.
                    let _ = sender.send(match load() {
                        Ok(loaded) => Found::Config(Box::new(loaded)),
                        Err(report) => Found::Wrong(report),
                    });
                });
                match spawned {
                    Ok(thread) => {
                        let _ = give.send(sender);
                        return Some(thread);
                    }
                    Err(error) => Found::Failed(format!("no thread to read the config: {error}")),
                }
            }
        };
        let _ = sender.send(refusal);
        None
    }
}

impl UnderWay {
    /// The file that has not answered for a long time, if there is one. To be called at each look.
    fn silent(&mut self) -> Option<PathBuf> {
        self.next_look = Instant::now() + LOOK;
        let (question, path) = self.progress.open_question()?;
        let looks = if self.seen.0 == question {
            self.seen.1 + 1
        } else {
            1
        };
        self.seen = (question, looks);
        (looks > PATIENCE).then_some(path)
    }
}

impl Answers {
    /// Tells them what came of it.
    pub fn tell(self, outcome: &Result<ReloadOutcome, String>) {
        for answer in self.0 {
            // Whoever asked may be gone.
            let _ = answer.send(outcome.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::regular;
    use std::path::Path;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    /// Reads a config that is wrong, each time after somebody has let it.
    struct Scene {
        readings: Readings,
        begun: Arc<AtomicUsize>,
        gate: mpsc::Sender<()>,
    }

    fn scene() -> Scene {
        let begun = Arc::new(AtomicUsize::new(0));
        let count = begun.clone();
        let (gate, passed) = mpsc::channel();
        let passed = Mutex::new(passed);
        let load = move || {
            regular::asking(Path::new("/dead/a.pem"), || {
                // Not before the question is open: looks at it are counted from then.
                count.fetch_add(1, Ordering::SeqCst);
                let _ended = passed.lock().unwrap().recv();
            });
            config::parse("x.toml", "wrong")
        };
        Scene {
            readings: Readings::with(Some(Arc::new(load))),
            begun,
            gate,
        }
    }

    impl Scene {
        async fn ended(&mut self) -> Read {
            self.readings.ended().await
        }

        /// Waits in real time, which the paused clock does not know.
        fn has_begun(&self, times: usize) {
            while self.begun.load(Ordering::SeqCst) < times {
                thread::yield_now();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_does_not_answer_is_named_and_given_up() {
        let mut scene = scene();
        for round in 1..=MOST_STUCK + 2 {
            let begin = Instant::now();
            scene.readings.look();
            scene.has_begun(round.min(MOST_STUCK));
            let read = scene.ended().await;
            assert!(matches!(read.found, Found::Silent(path) if path == Path::new("/dead/a.pem")));
            let most = LOOK * (PATIENCE + 2);
            assert!(begin.elapsed() <= most);
        }
        assert_eq!(scene.begun.load(Ordering::SeqCst), MOST_STUCK);
        // The server is back.
        for _ in 0..MOST_STUCK {
            scene.gate.send(()).unwrap();
        }
        while !scene.readings.stuck.iter().all(|s| s.thread.is_finished()) {
            thread::yield_now();
        }
        scene.gate.send(()).unwrap();
        scene.readings.look();
        assert!(matches!(scene.ended().await.found, Found::Wrong(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_serve_is_read_again_until_it_does() {
        let mut scene = scene();
        scene.readings.look();
        for _ in 0..3 {
            scene.gate.send(()).unwrap();
            let read = scene.ended().await;
            assert!(!read.ordered);
            scene.readings.note(false);
            assert!(scene.readings.under_way.is_none());
        }
        let begin = Instant::now();
        scene.gate.send(()).unwrap();
        scene.ended().await;
        assert!(begin.elapsed() >= AGAIN);
        scene.readings.note(true);
        let hour = Duration::from_secs(3600);
        assert!(tokio::time::timeout(hour, scene.ended()).await.is_err());
        assert_eq!(scene.begun.load(Ordering::SeqCst), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_for_meanwhile_is_answered_by_another_reading() {
        let mut scene = scene();
        let (first, first_told) = oneshot::channel();
        scene.readings.order(Some(first));
        scene.has_begun(1);
        let (second, mut second_told) = oneshot::channel();
        scene.readings.look();
        scene.readings.order(Some(second));
        let outcome = Err("no".to_owned());
        scene.gate.send(()).unwrap();
        scene.ended().await.answers.tell(&outcome);
        assert_eq!(first_told.await.unwrap(), outcome);
        assert!(second_told.try_recv().is_err());
        scene.gate.send(()).unwrap();
        let read = scene.ended().await;
        assert!(read.ordered);
        read.answers.tell(&outcome);
        assert_eq!(second_told.await.unwrap(), outcome);
        assert_eq!(scene.begun.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_config_that_is_built_in_is_not_read_again() {
        let mut readings = Readings::new(&Source::BuiltIn);
        let (answer, told) = oneshot::channel();
        readings.order(Some(answer));
        let read = readings.ended().await;
        assert!(matches!(read.found, Found::BuiltIn));
        let outcome = Err("built in".to_owned());
        read.answers.tell(&outcome);
        assert_eq!(told.await.unwrap(), outcome);
    }
}
