//! The way to the servers: it is opened, and again whenever it was lost, until this is closed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

use super::StreamConfig;
use super::declare::{self, Declared};
use super::session::{Session, Terms};
use super::url::Servers;
use crate::broker::{State, state};
use crate::net::backoff::{Backoff, Jitter};

const RECONNECT: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(30),
    jitter: Jitter::Half,
};
/// Streams that could not be declared are declared again after this.
const REDECLARE: Duration = Duration::from_secs(5);

/// What all parts of a client share.
pub(super) struct Link {
    /// The broker's name in the config.
    pub name: String,
    pub streams: BTreeMap<String, StreamConfig>,
    servers: Servers,
    terms: Terms,
    session: watch::Sender<Option<Arc<Session>>>,
    told: Mutex<Told>,
}

/// What is told of it.
struct Told {
    link: state::Link,
    mismatches: BTreeMap<String, String>,
}

impl Link {
    pub fn new(
        name: &str,
        servers: Servers,
        terms: Terms,
        streams: &BTreeMap<String, StreamConfig>,
    ) -> Self {
        Link {
            name: name.to_owned(),
            streams: streams.clone(),
            servers,
            terms,
            session: watch::Sender::new(None),
            told: Mutex::new(Told {
                link: state::Link::Down {
                    since: SystemTime::now(),
                    error: None,
                },
                mismatches: BTreeMap::new(),
            }),
        }
    }

    /// The connection, if there is one.
    pub fn session(&self) -> Option<Arc<Session>> {
        let session = self.session.borrow().clone();
        session.filter(|session| !session.is_lost())
    }

    /// One more connection, to the same server.
    ///
    /// # Errors
    /// Why not, in a sentence without the URL.
    pub async fn open_beside(&self, session: &Session) -> Result<Session, String> {
        Session::open(session.server(), &self.terms).await
    }

    /// The connection, when there is one. None after `deadline`.
    pub async fn session_by(&self, deadline: Instant) -> Option<Arc<Session>> {
        tokio::time::timeout_at(deadline, self.wait_for_session())
            .await
            .ok()
    }

    /// Waits for a connection, however long that takes.
    pub async fn wait_for_session(&self) -> Arc<Session> {
        let mut sessions = self.session.subscribe();
        loop {
            if let Some(session) = self.session() {
                return session;
            }
            if sessions.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    pub fn state(&self) -> State {
        let told = self.told();
        State {
            link: told.link.clone(),
            blocked: None,
            mismatches: told
                .mismatches
                .iter()
                .map(|(name, why)| (name.clone(), why.clone()))
                .collect(),
        }
    }

    /// Why there is no connection, in a sentence.
    pub fn why_down(&self) -> String {
        match &self.told().link {
            state::Link::Down {
                error: Some(error), ..
            } => format!("there is no connection to NATS: {error}"),
            _ => "there is no connection to NATS".to_owned(),
        }
    }

    /// Notes that `name` is otherwise than wanted, or as it should be.
    pub fn note(&self, name: &str, mismatch: Option<String>) {
        let mut told = self.told();
        match mismatch {
            None => {
                told.mismatches.remove(name);
            }
            Some(why) if told.mismatches.get(name) == Some(&why) => {}
            Some(why) => {
                tracing::warn!(broker = self.name, "{name} is otherwise: {why}");
                told.mismatches.insert(name.to_owned(), why);
            }
        }
    }

    /// Ends the connection. [`keep_open`] is to be ended before.
    pub fn close(&self) {
        self.session.send_replace(None);
        self.told().link = state::Link::Down {
            since: SystemTime::now(),
            error: Some("this client was closed".to_owned()),
        };
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a new reason once.
    fn set_down(&self, error: Option<String>) {
        let mut told = self.told();
        let since = match &told.link {
            state::Link::Down { since, .. } => *since,
            state::Link::Connected { .. } => SystemTime::now(),
        };
        let link = state::Link::Down { since, error };
        if let state::Link::Down {
            error: Some(why), ..
        } = &link
            && told.link != link
        {
            tracing::warn!(broker = self.name, "NATS cannot be reached: {why}");
        }
        told.link = link;
    }

    fn set_up(&self, session: Arc<Session>) {
        self.told().link = state::Link::Connected {
            since: SystemTime::now(),
        };
        tracing::info!(broker = self.name, "NATS is connected");
        self.session.send_replace(Some(session));
    }
}

/// Connects, and again whenever the connection was lost. It never ends.
pub(super) async fn keep_open(link: Arc<Link>) {
    let mut failures = 0;
    // Those who start together do not all begin with the first server.
    let mut first = fastrand::usize(..link.servers.addresses.len().max(1));
    loop {
        match connect(&link, first).await {
            Ok(session) => {
                failures = 0;
                let session = Arc::new(session);
                let mut pending = declare(&link, &session).await;
                link.set_up(session.clone());
                while pending {
                    tokio::select! {
                        () = session.lost() => break,
                        () = tokio::time::sleep(REDECLARE) => {}
                    }
                    pending = declare(&link, &session).await;
                }
                session.lost().await;
                link.session.send_replace(None);
                link.set_down(Some("the connection was lost".to_owned()));
            }
            Err(why) => link.set_down(Some(why)),
        }
        first += 1;
        tokio::time::sleep(RECONNECT.after(failures)).await;
        failures = failures.saturating_add(1);
    }
}

/// Tries each server once, and says why the last one failed.
async fn connect(link: &Link, first: usize) -> Result<Session, String> {
    let servers = &link.servers.addresses;
    let mut failure = "no server is named".to_owned();
    for place in 0..servers.len() {
        let server = &servers[(first + place) % servers.len()];
        match Session::open(server, &link.terms).await {
            Ok(session) => return Ok(session),
            Err(why) => failure = why,
        }
    }
    Err(failure)
}

/// Declares the streams, and says whether that is to be done again: whoever does not answer for one is not asked for the
/// next.
async fn declare(link: &Link, session: &Session) -> bool {
    for (name, config) in &link.streams {
        for wanted in declare::wanted(name, config) {
            let at = format!("streams.{}", wanted.name);
            match declare::declare(session, &wanted).await {
                Declared::AsWanted => link.note(&at, None),
                Declared::Otherwise(why) => link.note(&at, Some(why)),
                Declared::Unknown(why) => {
                    if !session.is_lost() {
                        link.note(&at, Some(why));
                    }
                    return true;
                }
            }
        }
    }
    false
}
