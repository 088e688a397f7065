//! From a changed config to a new snapshot, or to a reason why the old one goes on serving.
//!
//! All or nothing: the config is read and checked exactly as `outrigger check` does it, new listeners are bound,
//! the snapshot is built, and only then is anything put to use.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use metrics::counter;

use crate::admin::{self, ReloadOutcome};
use crate::app::changes::Changes;
use crate::app::flows::Flows;
use crate::app::last_good::{self, Keeper};
use crate::app::snapshot::{Snapshot, Tools};
use crate::app::worker::Workers;
use crate::config::{Content, Loaded, Problem};
use crate::listener::Taken;
use crate::value::Name;

mod counted;
mod history;
mod listeners;
mod reading;
mod refusal;
mod status;
mod warnings;

pub use counted::METRICS;
use counted::{Gauges, RELOADS};
pub use history::Reload;
pub use listeners::{stays, take_all};
pub use reading::{Answer, Found, Readings};
pub use refusal::only_by_restart;
use refusal::{Refusal, needs_restart};
pub use status::{LastError, Status};
pub use warnings::Warnings;

/// Where the config comes from.
#[derive(Clone, Debug)]
pub enum Source {
    Path(PathBuf),
    /// Built in: there is nothing to read again.
    BuiltIn,
}

/// Puts configs to use. It belongs to the control thread.
pub struct Reloader {
    tools: Tools,
    workers: Workers,
    snapshot: Arc<ArcSwap<Snapshot>>,
    status: Arc<Status>,
    /// That of the admin API.
    api_tls: Arc<admin::Tls>,
    flows: Arc<Flows>,
    gauges: Gauges,
    warnings: Warnings,
    keeper: Keeper,
    /// The refusal that was told last, until a config serves.
    told: Option<(Content, String)>,
}

/// What was told and kept of the first config.
pub struct Told {
    pub warnings: Warnings,
    pub keeper: Keeper,
    /// Whether it is what was found at its path.
    pub is_on_disk: bool,
}

/// What became of a config that was read.
pub struct Outcome {
    pub told: Result<ReloadOutcome, String>,
    /// The paths to watch, those of a bad config too: what mends it may be a file that only it names.
    pub watched: Option<Vec<PathBuf>>,
}

impl Reloader {
    /// Opens the listeners of the first config.
    ///
    /// # Errors
    /// An address that cannot be bound.
    pub fn start(
        tools: Tools,
        workers: Workers,
        snapshot: Arc<ArcSwap<Snapshot>>,
        taken: BTreeMap<Name, Taken>,
        api_tls: Arc<admin::Tls>,
        flows: Arc<Flows>,
        told: Told,
    ) -> Self {
        let reloader = Reloader {
            tools,
            workers,
            snapshot,
            status: Arc::default(),
            api_tls,
            flows,
            gauges: Gauges::new(),
            warnings: told.warnings,
            keeper: told.keeper,
            told: None,
        };
        reloader.status.inner().serves_last_good = !told.is_on_disk;
        last_good::note(!told.is_on_disk);
        let first = reloader.snapshot.load_full();
        reloader.open(&first, taken);
        reloader.gauges.note(true, first.generation);
        (reloader.status.inner().history).note(Reload::started(first.generation));
        reloader
    }

    pub fn status(&self) -> Arc<Status> {
        self.status.clone()
    }

    /// Puts what was read to use, if it is another config and good. Of a refusal that was told before, nothing more is
    /// told, unless the reading was `ordered`.
    pub fn put_to_use(&mut self, found: Found, ordered: bool) -> Outcome {
        let loaded = match found {
            Found::Config(loaded) => loaded,
            Found::Wrong(report) => {
                let refusal = Refusal {
                    summary: report.first_line(),
                    report: report.to_string(),
                    first: report.first().cloned().map(Box::new),
                };
                return Outcome {
                    told: Err(self.refused(refusal, report.content(), ordered)),
                    watched: Some(report.watched().to_vec()),
                };
            }
            Found::Silent(path) => {
                let path = path.display();
                let refusal = Refusal::new(format!(
                    "`{path}` does not answer, and without it the config cannot be read"
                ));
                return Outcome {
                    told: Err(self.refused(refusal, &Content::default(), ordered)),
                    watched: None,
                };
            }
            Found::Failed(why) => {
                let refusal = Refusal::new(why);
                return Outcome {
                    told: Err(self.refused(refusal, &Content::default(), ordered)),
                    watched: None,
                };
            }
            Found::BuiltIn => {
                let why = "this config is built in: there is nothing to read again\n";
                return Outcome {
                    told: Err(why.to_owned()),
                    watched: None,
                };
            }
        };
        let watched = Some(loaded.watched.clone());
        let told = if self.snapshot.load().is_of(&loaded) {
            self.serves();
            Ok(self.outcome(false))
        } else {
            let content = loaded.content.clone();
            match self.apply(*loaded) {
                Ok(()) => {
                    self.serves();
                    Ok(self.outcome(true))
                }
                Err(refusal) => Err(self.refused(refusal, &content, ordered)),
            }
        };
        Outcome { told, watched }
    }

    /// Whether the newest config is the one that serves.
    pub fn is_up_to_date(&self) -> bool {
        self.told.is_none()
    }

    fn serves(&mut self) {
        self.told = None;
        {
            let mut status = self.status.inner();
            status.last_error = None;
            status.serves_last_good = false;
        }
        last_good::note(false);
        self.gauges.successful.set(1);
    }

    fn outcome(&self, changed: bool) -> ReloadOutcome {
        ReloadOutcome {
            generation: self.snapshot.load().generation,
            changed,
        }
    }

    fn apply(&mut self, loaded: Loaded) -> Result<(), Refusal> {
        let old = self.snapshot.load_full();
        needs_restart(&old.config, &loaded.config)?;
        let taken = listeners::take_new(&old.config, &loaded.config, &self.status)?;
        let (warnings, places) = (loaded.warnings, loaded.places);
        let source = (loaded.config, loaded.content);
        let next = Snapshot::of(source, Some(&old), &self.tools).map_err(|problems| {
            let messages: Vec<String> = problems
                .into_vec()
                .into_iter()
                .map(|problem| problem.message)
                .collect();
            Refusal::new(messages.join("\n"))
        })?;
        let generation = next.generation;
        let changes = Changes::of(&old, &next, [None, Some(&places)]);
        self.keeper.keep(&next.config, &places);
        drop(places);
        let next = Arc::new(next);
        // From here on nothing can fail.
        self.workers.switch_to(&next.serving);
        self.snapshot.store(next.clone());
        old.superseded_by(&next);
        self.open(&next, taken);
        listeners::close_removed(&next.config, &self.status);
        self.gauges.note(true, generation);
        counter!(RELOADS.name, "result" => "applied").increment(1);
        tracing::info!(
            generation,
            hash = %next.content.hash,
            changes = %changes.line(),
            lost = changes.lost_line(),
            "a new config serves"
        );
        let reload = Reload::applied(generation, changes.line(), &changes.to_string());
        self.status.inner().history.note(reload);
        self.warnings.tell(&warnings);
        Ok(())
    }

    /// Makes what serves once more, now that a certificate of it has become valid, or ended. Nothing is read.
    pub fn renew(&mut self) {
        let old = self.snapshot.load_full();
        let next = match old.again(&self.tools) {
            Ok(next) => Arc::new(next),
            Err(problems) => {
                let why = problems.into_vec();
                tracing::error!("the config that serves cannot be put to use again: {why:?}");
                return;
            }
        };
        self.workers.switch_to(&next.serving);
        self.snapshot.store(next.clone());
        old.superseded_by(&next);
        self.open(&next, BTreeMap::new());
        let now = SystemTime::now();
        let certificates = next.config.certificates();
        let ended = old.turns_at.map(|from| certificates.ended(from, now));
        for ended in ended.unwrap_or_default() {
            tracing::warn!("{ended}");
        }
        tracing::info!("certificates are judged anew, now that the time of one has come");
    }

    fn refused(&mut self, refusal: Refusal, content: &Content, ordered: bool) -> String {
        let refused = Some((content.clone(), refusal.report.clone()));
        if self.told == refused && !ordered {
            return refusal.report;
        }
        self.told = refused;
        let generation = self.snapshot.load().generation;
        let first = refusal.first.as_deref();
        tracing::error!(
            serving_generation = generation,
            file = first.map(|first| &first.file),
            line = first
                .and_then(|first| first.position)
                .map(|position| position.line),
            key = first.and_then(Problem::named_key),
            "the new config is refused, the old one goes on serving: {}",
            refusal.summary
        );
        counter!(RELOADS.name, "result" => "refused").increment(1);
        self.gauges.note(false, generation);
        let reload = Reload::refused(generation, refusal.summary.clone(), &refusal.report);
        let mut status = self.status.inner();
        status.last_error = Some(LastError {
            at: reload.at,
            summary: refusal.summary,
            report: refusal.report.clone(),
        });
        status.history.note(reload);
        refusal.report
    }

    /// Starts what was bound, and tells the other listeners and the admin API what the config says of them now.
    fn open(&self, snapshot: &Snapshot, taken: BTreeMap<Name, Taken>) {
        self.flows.follow(snapshot, &self.tools.bridge);
        let config = &snapshot.config;
        self.api_tls.reconfigure(&config.admin);
        listeners::open(config, taken, &self.workers, &self.status);
    }
}
