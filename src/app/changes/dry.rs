//! Two configs of which the second follows the first without anything being served, connected or asked.

use std::path::Path;
use std::sync::Arc;

use metrics::{NoopRecorder, with_local_recorder};

use super::Changes;
use super::compare::{Compared, compare};
use crate::app::bridge::Bridge;
use crate::app::snapshot::{Snapshot, Tools};
use crate::config::{Config, Content, Loaded, Places};
use crate::fetch::Nowhere;
use crate::net::resolve::SystemResolver;

/// One of two configs.
pub struct Side<'a> {
    pub config: &'a Config,
    pub content: &'a Content,
    pub places: Option<&'a Places>,
    /// Paths below it are shown from there.
    pub root: Option<&'a Path>,
}

impl<'a> Side<'a> {
    pub fn of(loaded: &'a Loaded, root: Option<&'a Path>) -> Self {
        Side {
            config: &loaded.config,
            content: &loaded.content,
            places: Some(&loaded.places),
            root,
        }
    }
}

/// What is different when `new` follows `old`. It blocks for as long as files are opened that targets name. Not to be called
/// within a runtime's task.
///
/// # Errors
/// Why one of them could not serve although it is good, in a sentence.
pub fn between(old: &Side<'_>, new: &Side<'_>) -> Result<Changes, String> {
    let sides = [old, new].map(|side| Compared::of(side.config, side.content, side.root));
    let changes = compare(&sides);
    // Its tasks are never run: what is made tries to reach nobody.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the configs cannot be compared: {error}"))?;
    let _entered = runtime.enter();
    let tools = Tools {
        bridge: Arc::new(Bridge::on(runtime.handle().clone())),
        resolver: Arc::new(SystemResolver::new()),
        fetch: Arc::new(Nowhere),
        requests: Arc::default(),
        access_writer: Box::new(|| None),
    };
    let make = |side: &Side<'_>, before: Option<&Snapshot>| {
        let source = (side.config.clone(), side.content.clone());
        // Nothing of it is counted.
        let made = with_local_recorder(&NoopRecorder, || Snapshot::of(source, before, &tools));
        made.map_err(|problems| {
            let messages = problems.into_vec().into_iter().map(|found| found.message);
            messages.collect::<Vec<_>>().join("; ")
        })
    };
    let before = make(old, None)?;
    let after = make(new, Some(&before))?;
    let places = [old.places, new.places];
    Ok(Changes::with(changes, &before, &after, places))
}
