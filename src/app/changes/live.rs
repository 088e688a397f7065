//! What a config would change that is handed to a proxy that serves.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::{Side, between};
use crate::app::snapshot::Snapshot;
use crate::config;

/// As much as the main thread has, which reads the first config.
const STACK: usize = 8 << 20;
/// A file may not answer for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// Compares configs with the one that serves, one after the other.
#[derive(Clone)]
pub struct Comparing {
    /// None: the config is built in.
    path: Option<PathBuf>,
    turn: Arc<Semaphore>,
}

impl Comparing {
    pub fn new(path: Option<PathBuf>) -> Self {
        Comparing {
            path,
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// What the config of these files, by their names, would change. They are read as if they stood where the config of the proxy
    /// stands.
    ///
    /// # Errors
    /// Why it would be refused, as `outrigger check` says it, or why it cannot be told.
    pub async fn with(
        self,
        snapshot: Arc<ArcSwap<Snapshot>>,
        texts: Vec<(String, String)>,
    ) -> Result<Value, String> {
        let at = self.path.ok_or("the config of this proxy is built in\n")?;
        let Ok(turn) = self.turn.try_acquire_owned() else {
            return Err("another config is being compared: try again\n".to_owned());
        };
        let (tell, told) = oneshot::channel();
        let work = move || {
            // As long as a file does not answer, nothing else is compared.
            let _turn = turn;
            let compared = config::load_texts(&at, &texts)
                .map_err(|report| format!("{report}\n"))
                .and_then(|loaded| {
                    let now = snapshot.load_full();
                    let old = Side {
                        config: &now.config,
                        content: &now.content,
                        places: None,
                        root: None,
                    };
                    between(&old, &Side::of(&loaded, None)).map_err(|why| format!("{why}\n"))
                });
            let _gone = tell.send(compared.map(|changes| {
                let mut json = changes.json();
                json["text"] = json!(changes.to_string());
                json
            }));
        };
        thread::Builder::new()
            .name("diff".to_owned())
            .stack_size(STACK)
            .spawn(work)
            .map_err(|error| format!("no thread to read the config: {error}\n"))?;
        match timeout(PATIENCE, told).await {
            Ok(Ok(compared)) => compared,
            Ok(Err(_)) => Err("reading the config ended by a fault of the proxy\n".to_owned()),
            Err(_) => Err("a file that the config names does not answer\n".to_owned()),
        }
    }
}
