//! One connection to a server, from its login to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{
    AuthError, Client, ConnectErrorKind, ConnectOptions, Event, HeaderMap, Message,
    PublishErrorKind, ServerAddr, ServerError, Subject, Subscriber,
};
use bytes::Bytes;
use rustls::ClientConfig;
use tokio::sync::watch;

use super::replies::{Replies, Unanswered, Waiting};
use super::url::Login;
use crate::broker::lanes::Way;

/// How many times within the time after which a silent server counts as gone it is asked whether it is there. The library
/// gives up when it has not answered twice and is to be asked again.
const PINGS: u32 = 3;
/// What may wait in the library to be written: callers wait behind it.
const COMMANDS: usize = 128;
/// Messages that may wait to be read from one subscription. Nobody asks for so many at once.
const UNREAD: usize = 64 << 10;

/// How to log in.
#[derive(Clone)]
pub(super) struct Terms {
    pub name: String,
    pub login: Login,
    pub tls: Option<Arc<ClientConfig>>,
    pub connect_timeout: Duration,
    /// A server from which nothing has come for so long is gone.
    pub heartbeat: Duration,
}

/// A connection. It never comes back once it is lost: whatever is under way is told at once, and nothing that was meant for it
/// is sent over another.
pub(super) struct Session {
    client: Client,
    server: ServerAddr,
    replies: Replies,
    lost: watch::Receiver<bool>,
}

impl Way for Session {
    fn is_gone(&self) -> bool {
        self.is_lost()
    }
}

impl Session {
    /// Connects, and logs in.
    ///
    /// # Errors
    /// Why not, in a sentence without the URL.
    pub async fn open(server: &ServerAddr, terms: &Terms) -> Result<Session, String> {
        let (lost_sender, lost) = watch::channel(false);
        let waiting = Waiting::default();
        let client = tokio::time::timeout(
            terms.connect_timeout,
            options(terms, lost_sender, waiting.clone()).connect(server.clone()),
        )
        .await
        .map_err(|_| slow(terms.connect_timeout))?
        .map_err(|error| match error.kind() {
            ConnectErrorKind::AuthorizationViolation => {
                "the server refuses this user or password".to_owned()
            }
            ConnectErrorKind::TimedOut => slow(terms.connect_timeout),
            ConnectErrorKind::ServerParse => "the address of the server is none".to_owned(),
            _ => error.to_string(),
        })?;
        let replies = Replies::start(&client, waiting)
            .await
            .ok_or("the connection was lost at once")?;
        Ok(Session {
            client,
            server: server.clone(),
            replies,
            lost,
        })
    }

    pub fn is_lost(&self) -> bool {
        *self.lost.borrow() || self.lost.has_changed().is_err()
    }

    /// Waits until it is lost.
    pub async fn lost(&self) {
        let mut lost = self.lost.clone();
        // An error means that the library has ended, which is the same.
        let _ended = lost.wait_for(|lost| *lost).await;
    }

    /// To which server it leads.
    pub fn server(&self) -> &ServerAddr {
        &self.server
    }

    /// The most bytes that the server takes, those of the headers among them.
    pub fn max_payload(&self) -> usize {
        self.client.max_payload()
    }

    /// Sends a message and waits for what is sent back. Nobody being there to answer is an answer, of the status 503.
    ///
    /// # Errors
    /// When there is no answer, as the connection is lost.
    pub async fn request(
        &self,
        subject: Subject,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Message, Unanswered> {
        let (expected, answer) = self.replies.expect(subject.clone());
        self.send(subject, Some(expected.reply.clone()), headers, payload)
            .await?;
        answer.await.unwrap_or(Err(Unanswered::Lost))
    }

    /// Sends a message. That it was taken to be sent is all that is known afterwards.
    ///
    /// # Errors
    /// When it was not.
    pub async fn send(
        &self,
        subject: Subject,
        reply: Option<Subject>,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<(), Unanswered> {
        let client = &self.client;
        let send = async {
            match (reply, headers) {
                (Some(reply), Some(headers)) => {
                    client
                        .publish_with_reply_and_headers(subject, reply, headers, payload)
                        .await
                }
                (Some(reply), None) => client.publish_with_reply(subject, reply, payload).await,
                (None, Some(headers)) => {
                    client.publish_with_headers(subject, headers, payload).await
                }
                (None, None) => client.publish(subject, payload).await,
            }
        };
        if self.is_lost() {
            return Err(Unanswered::Unsent);
        }
        tokio::select! {
            biased;
            sent = send => sent.map_err(|error| match error.kind() {
                PublishErrorKind::MaxPayloadExceeded => Unanswered::TooLarge,
                _ => Unanswered::Unsent,
            }),
            // Only what has to wait for others to be sent waits for this.
            () = self.lost() => Err(Unanswered::Unsent),
        }
    }

    /// Takes all that is sent to a new inbox, and to what is below it. None when the connection is lost.
    pub async fn inbox(&self) -> Option<(String, Subscriber)> {
        let inbox = self.client.new_inbox();
        let subscribe = self.client.subscribe(format!("{inbox}.*"));
        tokio::select! {
            biased;
            () = self.lost() => None,
            subscriber = subscribe => Some((inbox, subscriber.ok()?)),
        }
    }

    /// Waits until all that was taken to be sent is on its way.
    pub async fn flush(&self) {
        tokio::select! {
            biased;
            () = self.lost() => {}
            _flushed = self.client.flush() => {}
        }
    }
}

fn slow(limit: Duration) -> String {
    format!(
        "there was no answer within {}",
        crate::value::Duration(limit)
    )
}

fn options(terms: &Terms, lost: watch::Sender<bool>, waiting: Waiting) -> ConnectOptions {
    let (login, used) = (terms.login.clone(), Arc::new(AtomicBool::new(false)));
    // The library connects again by itself, and then sends what has waited. It may try once, and is refused the login: a
    // session ends with its connection.
    let mut options = ConnectOptions::with_auth_callback(move |_| {
        let auth = if used.swap(true, Ordering::Relaxed) {
            Err(AuthError::new("a session logs in once"))
        } else {
            Ok(login.auth())
        };
        std::future::ready(auth)
    })
    .max_reconnects(1)
    .reconnect_delay_callback(|_| Duration::ZERO)
    // What the config names is who gets the password.
    .ignore_discovered_servers()
    .name(&terms.name)
    .connection_timeout(terms.connect_timeout)
    .ping_interval(terms.heartbeat / PINGS)
    .client_capacity(COMMANDS)
    .subscription_capacity(UNREAD)
    .event_callback(move |event| {
        match event {
            Event::Disconnected | Event::Closed => {
                lost.send_replace(true);
                waiting.lose();
            }
            Event::ServerError(ServerError::Other(error)) => {
                tracing::warn!("NATS says: {error}");
                if let Some(subject) = forbidden(&error) {
                    waiting.forbid(subject);
                }
            }
            _ => {}
        }
        std::future::ready(())
    });
    if let Some(tls) = &terms.tls {
        options = options
            .require_tls(true)
            .tls_client_config(ClientConfig::clone(tls));
    }
    options
}

/// The subject in `Permissions Violation for Publish to "orders.new"`.
fn forbidden(error: &str) -> Option<&str> {
    let (_, quoted) = error.split_once("Permissions Violation for Publish to \"")?;
    quoted.split_once('"').map(|(subject, _)| subject)
}
