//! What a database says of the table of a relay before the relay is there.

use std::sync::Arc;

use super::Config;
use super::sql::SqlOutbox;
use crate::database::{Client, Kind, Objection};
use crate::value::problem::Problems;

/// Has the database look at the table. Nothing of it is changed.
///
/// # Errors
/// Why it cannot be asked.
pub async fn check_live(
    config: &Config,
    client: &Arc<dyn Client>,
    kind: Kind,
) -> Result<Problems, String> {
    let mut problems = Problems::default();
    let outbox = SqlOutbox::new(client.clone(), kind, config);
    match outbox.look().await {
        Ok(()) => {}
        Err(Objection::Refused(why)) => {
            problems.error(&["table"], why);
        }
        Err(Objection::Unreachable(why)) => return Err(why),
    }
    Ok(problems)
}
