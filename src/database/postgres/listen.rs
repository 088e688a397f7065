//! Channels that are listened to, on a connection of their own.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::conn::{Conn, LONGEST};
use super::frame::Fields;
use super::shared::Postgres;
use crate::database::{Failure, Listening, Notification};

struct Channels(Conn);

/// Opens a connection beside the pool.
pub(super) async fn listen(
    client: &Arc<Postgres>,
    channels: &[String],
) -> Result<Box<dyn Listening>, Failure> {
    let mut conn = client.open().await?;
    if conn.is_pooled {
        let why = "a pooler stands before the database, through which nothing can be listened to";
        return Err(Failure::Refused(why.to_owned()));
    }
    for channel in channels {
        let name = channel.replace('"', "\"\"");
        conn.link
            .set_deadline(Instant::now() + client.statement_timeout);
        match conn.command(&format!("LISTEN \"{name}\"")).await {
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
            let frame = conn.frame(LONGEST).await.map_err(|_| lost())?;
            let mut fields = Fields(conn.body(frame));
            let told = match frame.kind {
                b'A' => {
                    let _process = fields.u32();
                    Some((
                        fields.text().map(str::to_owned),
                        fields.text().map(str::to_owned),
                    ))
                }
                b'E' => return Err(lost()),
                _ => None,
            };
            conn.done(frame);
            if let Some((Some(channel), Some(payload))) = told {
                return Ok(Notification { channel, payload });
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
