//! Registering routes and upstreams while the proxy runs: each is a file of `admin.writable_dir`, checked with the whole
//! config before it is written, and there to stay once it serves.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::admin::{NotRegistered, Registered, Registration, ReloadOutcome};
use crate::app::control::Order;
use crate::app::reload::Source;
use crate::config::Problem;
use crate::config::registered::{self, Change, Fit, Unfit};
use crate::value::Name;

mod files;

pub use files::put;

use files::Undo;

/// How long one change may wait for another, for its files, and for the reload.
const PATIENCE: Duration = Duration::from_secs(60);

/// Registers, one change after the other.
#[derive(Clone)]
pub struct Registering {
    /// None: the config is built in.
    path: Option<PathBuf>,
    orders: mpsc::Sender<Order>,
    draining: Arc<AtomicBool>,
    turn: Arc<Semaphore>,
}

/// What is on disk by now, and does not serve yet.
struct Written {
    undo: Undo,
    created: bool,
    etag: Option<String>,
}

impl Registering {
    pub fn new(source: &Source, orders: mpsc::Sender<Order>, draining: &Arc<AtomicBool>) -> Self {
        Registering {
            path: match source {
                Source::Path(path) => Some(path.clone()),
                Source::BuiltIn => None,
            },
            orders,
            draining: draining.clone(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Where the config is; None when it is built in.
    pub fn config_path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Does all of `registrations`, or none of them. It is to go on to its end whoever leaves meanwhile.
    ///
    /// # Errors
    /// Why nothing has changed.
    pub async fn register(
        self,
        registrations: Vec<Registration>,
    ) -> Result<Registered, NotRegistered> {
        let Some(path) = self.path.clone() else {
            let why = "this config is built in: nothing can be registered";
            return Err(NotRegistered::Conflict(why.to_owned()));
        };
        if self.draining.load(Ordering::SeqCst) {
            let why = "the proxy is draining and takes no new config";
            return Err(NotRegistered::Busy(why.to_owned()));
        }
        let changes = changes(&registrations)?;
        let turn = timeout(PATIENCE, self.turn.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(busy());
        };
        // Who asks the file system may wait for ever; the turn is theirs until then.
        let writing = spawn_blocking(move || (write(&path, &changes, &registrations), turn));
        let (written, turn) = match timeout(PATIENCE, writing).await {
            Ok(Ok((written, turn))) => (written?, turn),
            Ok(Err(_)) => return Err(NotRegistered::Failed("a fault of the proxy".to_owned())),
            Err(_) => {
                let why =
                    "the config's files do not answer: look again later whether it was written";
                return Err(NotRegistered::Failed(why.to_owned()));
            }
        };
        let Written {
            undo,
            created,
            etag,
        } = written;
        match self.reload().await {
            Ok(outcome) => Ok(Registered {
                generation: outcome.generation,
                created,
                etag,
            }),
            Err(report) => Err(self.take_back(undo, turn, &report).await),
        }
    }

    async fn reload(&self) -> Result<ReloadOutcome, String> {
        let (answer, answered) = oneshot::channel();
        let busy = || "the proxy is ending, or busy with other reloads\n".to_owned();
        if self.orders.try_send(Order::Reload(answer)).is_err() {
            return Err(busy());
        }
        match timeout(PATIENCE, answered).await {
            Ok(outcome) => outcome.unwrap_or_else(|_| Err(busy())),
            Err(_) => Err("the config could not be read in time\n".to_owned()),
        }
    }

    /// Puts back what was there before, and says why.
    async fn take_back(
        &self,
        undo: Undo,
        turn: OwnedSemaphorePermit,
        report: &str,
    ) -> NotRegistered {
        let undone = spawn_blocking(move || (undo.all(), turn));
        let undone = timeout(PATIENCE, undone).await;
        let report = report.trim_end();
        match undone {
            Ok(Ok((Ok(()), _turn))) => {
                let _what_served_before = self.reload().await;
                NotRegistered::Failed(format!("it does not serve, and was taken back: {report}"))
            }
            Ok(Ok((Err(error), _))) => NotRegistered::Failed(format!(
                "it does not serve, and could not be taken back ({error}): {report}"
            )),
            _ => NotRegistered::Failed(format!(
                "it does not serve, and its file does not answer: {report}"
            )),
        }
    }
}

fn busy() -> NotRegistered {
    NotRegistered::Busy("other changes are under way: try again".to_owned())
}

/// What becomes of which files.
fn changes(registrations: &[Registration]) -> Result<Vec<Change>, NotRegistered> {
    let change = |registration: &Registration| {
        let Registration {
            kind,
            name,
            content,
            ..
        } = registration;
        let name: Name = name
            .parse()
            .map_err(|wrong| NotRegistered::Unreadable(format!("{wrong}")))?;
        let text = match content {
            None => None,
            Some((format, body)) => {
                let text = registered::text_of(*kind, &name, *format, body);
                Some(text.map_err(|why| {
                    NotRegistered::Unreadable(format!("the body cannot be read: {why}"))
                })?)
            }
        };
        Ok(Change {
            kind: *kind,
            name,
            text,
        })
    };
    registrations.iter().map(change).collect()
}

/// Checks what the config would be, and writes it.
fn write(
    path: &Path,
    changes: &[Change],
    registrations: &[Registration],
) -> Result<Written, NotRegistered> {
    let fit = registered::try_out(path, changes, |fit| may_change(fit, changes, registrations))?;
    let undo = Undo::after_writing(&fit, changes).map_err(|error| files::refusal(&error))?;
    let last = (changes.last(), fit.before.last());
    let (change, before) = match last {
        (Some(change), Some(before)) => (change, before),
        _ => {
            return Err(NotRegistered::Unreadable(
                "there is nothing to do".to_owned(),
            ));
        }
    };
    Ok(Written {
        undo,
        created: before.is_none(),
        etag: change.text.as_deref().map(registered::etag),
    })
}

/// Whether what is there is what the caller thinks.
fn may_change(
    fit: &Fit,
    changes: &[Change],
    registrations: &[Registration],
) -> Result<(), NotRegistered> {
    for ((change, before), registration) in changes.iter().zip(&fit.before).zip(registrations) {
        let etag = before.as_deref().map(registered::etag);
        if !registration.condition.holds(etag.as_deref()) {
            return Err(NotRegistered::Changed(etag));
        }
        if change.text.is_none() && before.is_none() {
            return Err(NotRegistered::Nothing(format!(
                "no {} `{}` is registered",
                change.kind.word(),
                change.name
            )));
        }
    }
    Ok(())
}

impl From<Unfit> for NotRegistered {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::NoDirectory => NotRegistered::Conflict(
                "nothing can be registered here: set `writable_dir` in `[admin]`".to_owned(),
            ),
            Unfit::ByHand(place) => NotRegistered::Conflict(format!(
                "this name stands in {place}, which was not registered: change it there"
            )),
            Unfit::Wrong(report) => {
                let problems = report.problems().map(Problem::json).collect();
                NotRegistered::Wrong(format!("{report}\n"), problems)
            }
        }
    }
}
