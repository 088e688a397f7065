//! Channels that are listened to, on a connection of their own.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use postgres_protocol::escape::escape_identifier;
use postgres_protocol::message::backend::Message;
use tokio::time::Instant;

use super::conn::{Conn, LONGEST};
use crate::database::server::{Connection, ServerError};
use crate::database::{Failure, Listening, Notification};

struct Channels(Conn);

/// Has a connection listen; each channel may take as long as `limit`.
pub(super) async fn listen(
    mut conn: Conn,
    channels: &[String],
    limit: Duration,
) -> Result<Box<dyn Listening>, Failure> {
    if conn.is_pooled {
        let why = "a pooler stands before the database, through which nothing can be listened to";
        return Err(Failure::refused(why));
    }
    for channel in channels {
        let listen = format!("LISTEN {}", escape_identifier(channel));
        conn.set_deadline(Instant::now() + limit);
        match conn.command(&listen).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error.into_failure()),
            Err(_) => return Err(lost()),
        }
    }
    conn.link.clear_deadline();
    Ok(Box::new(Channels(conn)))
}

impl Channels {
    async fn next(&mut self) -> Result<Notification, Failure> {
        let conn = &mut self.0;
        loop {
            match conn.message(LONGEST).await.map_err(|_| lost())? {
                Message::NotificationResponse(told) => {
                    return Ok(Notification {
                        channel: told.channel().map_err(|_| lost())?.to_owned(),
                        payload: told.message().map_err(|_| lost())?.to_owned(),
                    });
                }
                Message::ErrorResponse(_) => return Err(lost()),
                _ => {}
            }
        }
    }
}

impl Listening for Channels {
    fn next(&mut self) -> BoxFuture<'_, Result<Notification, Failure>> {
        self.next().boxed()
    }
}

fn lost() -> Failure {
    Failure::Broken("the connection that listens was lost".to_owned())
}
