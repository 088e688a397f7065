//! What joins this process and a broker: a connection that publishes, and one for all else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::types::{FrameSize, Heartbeat, LongString};
use lapin::{AsyncTcpStream, Channel, Connection, ConnectionProperties, Event};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::failure;
use super::lane::Lane;
use super::socket::{self, Cut, End, Kit};
use super::trust::Trust;
use super::url::Address;
use crate::broker::Checked;
use crate::net::resolve::SystemResolver;

/// The most messages that are published alone at one time: each takes a channel meanwhile.
const MOST_ALONE: u16 = 64;
/// The most messages that share a channel.
const MOST_SHARED: u16 = 256;
/// The longest that a connection may take to end in order.
const GOODBYE: Duration = Duration::from_secs(2);

pub(super) struct Link {
    pub publishing: Half,
    pub other: Half,
    /// Why the broker takes no messages now. It says so only to a connection that publishes.
    pub blocked: watch::Sender<Option<String>>,
    /// As many as may publish alone at one time.
    pub slots: Semaphore,
    most: u16,
    /// Channels in confirm mode on which nothing is under way.
    pub idle: Mutex<Vec<Channel>>,
    /// As many as may publish on a channel that they share.
    pub places: Semaphore,
    pub lane: Mutex<Option<Arc<Lane>>>,
    /// Whoever makes the next lane.
    pub maker: Semaphore,
    pub trust: Trust,
}

/// One of the two connections.
pub(super) struct Half {
    pub connection: Connection,
    pub end: End,
    cut: Cut,
}

/// How to connect.
pub(super) struct Connector {
    /// The broker's name in the config.
    name: String,
    address: Address,
    checked: Checked,
    runtime: Handle,
    resolver: SystemResolver,
}

impl Connector {
    /// None when the URL is none, which was checked before.
    pub fn new(name: &str, checked: &Checked, runtime: &Handle) -> Option<Self> {
        let mut address = Address::parse(checked.url()).ok()?;
        let heartbeat = checked.config.heartbeat.0.as_secs();
        address.uri.query.heartbeat =
            Some(Heartbeat::try_from(heartbeat).unwrap_or(Heartbeat::MAX));
        Some(Connector {
            name: name.to_owned(),
            address,
            checked: checked.clone(),
            runtime: runtime.clone(),
            resolver: SystemResolver::new(),
        })
    }

    /// Connects twice.
    ///
    /// # Errors
    /// Why not, in a sentence.
    pub async fn open(&self) -> Result<Link, String> {
        let limit = self.checked.config.connect_timeout.0;
        let both = async {
            let publishing = self.half("publishing").await?;
            let other = self.half("consuming").await?;
            Ok::<_, String>((publishing, other))
        };
        let (publishing, other) = match timeout(limit, both).await {
            Ok(opened) => opened?,
            Err(_) => {
                return Err(format!(
                    "`{}` did not let us in within {limit:?}",
                    self.address.shown()
                ));
            }
        };
        let channels = publishing.connection.configuration().channel_max();
        let most = MOST_ALONE.min(channels).max(1);
        Ok(Link {
            slots: Semaphore::new(usize::from(most)),
            most,
            places: Semaphore::new(usize::from(MOST_SHARED)),
            lane: Mutex::default(),
            maker: Semaphore::new(1),
            trust: Trust::default(),
            publishing,
            other,
            blocked: watch::Sender::new(None),
            idle: Mutex::default(),
        })
    }

    async fn half(&self, role: &str) -> Result<Half, String> {
        let opened = socket::open(&self.address, self.checked.tls(), &self.resolver).await?;
        let cut = CutUnlessKept(Some(opened.cut));
        let name = format!("outrigger {} {role}", self.name);
        let properties = ConnectionProperties::default()
            .with_connection_name(LongString::from(name))
            .with_client_property("product".into(), "outrigger".into())
            .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into());
        let stream = Mutex::new(Some(opened.stream));
        let give = async move |_, _| {
            let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
            let used =
                || lapin::Error::from(std::io::Error::from(std::io::ErrorKind::NotConnected));
            stream.map(AsyncTcpStream::Plain).ok_or_else(used)
        };
        let uri = self.address.uri.clone();
        let connecting = Connection::connector(uri, Kit::on(&self.runtime), give, properties);
        let connection = connecting.await.map_err(|error| failure::login(&error))?;
        Ok(Half {
            connection,
            end: opened.end,
            cut: cut.keep()?,
        })
    }
}

impl Link {
    /// Follows what the broker says of alarms, and completes with a reason when either connection has ended.
    pub async fn watch(&self, mut said: impl FnMut(Option<String>)) -> String {
        let mut events = std::pin::pin!(self.publishing.connection.events_listener());
        loop {
            let event = tokio::select! {
                () = self.publishing.end.reached() => return "the connection that publishes was lost".to_owned(),
                () = self.other.end.reached() => return "the connection that consumes was lost".to_owned(),
                event = futures_util::StreamExt::next(&mut events) => event,
            };
            let blocked = match event {
                Some(Event::ConnectionBlocked(why)) => Some(why),
                Some(Event::ConnectionUnblocked) => None,
                Some(_) => continue,
                None => return "the connection that publishes was closed".to_owned(),
            };
            self.blocked.send_replace(blocked.clone());
            said(blocked);
        }
    }

    /// The most bytes of a frame.
    pub fn frame_max(&self) -> FrameSize {
        self.publishing.connection.configuration().frame_max()
    }

    /// Completes when nothing that was published is under way.
    pub async fn rest(&self) {
        let _all = self.slots.acquire_many(u32::from(self.most)).await;
        let _all = self.places.acquire_many(u32::from(MOST_SHARED)).await;
    }

    pub async fn close(&self) {
        for half in [&self.publishing, &self.other] {
            let closing = half.connection.close(200, "goodbye".into());
            // Whoever does not answer, or was gone already, is left.
            let _ended = timeout(GOODBYE, closing).await;
        }
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        let status = self.connection.status();
        // lapin writes nothing while the broker blocks, so it would wait to say goodbye for as long as that lasts.
        if status.blocked() || !status.connected() {
            self.cut.cut();
        }
    }
}

/// A connection that is given up half made has a thread of lapin's, which ends when it is cut.
struct CutUnlessKept(Option<Cut>);

impl CutUnlessKept {
    fn keep(mut self) -> Result<Cut, String> {
        self.0
            .take()
            .ok_or_else(|| "the connection has ended".to_owned())
    }
}

impl Drop for CutUnlessKept {
    fn drop(&mut self) {
        if let Some(cut) = &self.0 {
            cut.cut();
        }
    }
}
