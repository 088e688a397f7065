//! What databases say of the statements that they are to run, and of the tables of relays: looked for only where it is asked for, as it takes connections.

use std::sync::Arc;

use tokio::runtime;

use super::opened::Opened;
use super::read::Blocks;
use crate::database;
use crate::relay;
use crate::target::{Asked, Targets as _};
use crate::value::Name;
use crate::value::problem::Problems;

/// Asks each database what routes and relays want of it.
pub(super) fn check(blocks: &Blocks, opened: &Opened, problems: &mut Problems) {
    match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(ask(blocks, opened, runtime.handle(), problems)),
        Err(error) => {
            let why = format!("no database can be asked: {error}");
            problems.error(&["databases"], why);
        }
    }
}

async fn ask(blocks: &Blocks, opened: &Opened, runtime: &runtime::Handle, problems: &mut Problems) {
    for (name, block) in &blocks.databases {
        let Some((Some(of_this), _)) = opened.databases.get(name) else {
            continue;
        };
        let checked = database::Checked::new(block.clone(), of_this.clone());
        let Some(client) = database::connect(name.as_str(), &checked, runtime) else {
            continue;
        };
        let asked = (name, of_this.kind, &client);
        if let Err(why) = ask_one(blocks, opened, asked, problems).await {
            let why = format!("this database cannot be asked: {why}");
            problems.error(&["databases", name.as_str()], why);
        }
    }
}

/// # Errors
/// Why the database cannot be asked.
async fn ask_one(
    blocks: &Blocks,
    opened: &Opened,
    (name, kind, client): (&Name, database::Kind, &Arc<dyn database::Client>),
    problems: &mut Problems,
) -> Result<(), String> {
    let asked = Asked {
        name: name.as_str(),
        kind,
        client: &**client,
    };
    for (route, read) in &blocks.routes {
        let Some((_, of_target)) = opened.routes.get(route) else {
            continue;
        };
        let found = read.target.check_live(asked, of_target).await?;
        let at = ["routes", route.as_str()];
        problems.within(&at, |problems| problems.append(found));
    }
    for (relay, config) in &blocks.relays {
        if config.database == *name {
            let found = relay::check_live(config, client, kind).await?;
            let at = ["relays", relay.as_str()];
            problems.within(&at, |problems| problems.append(found));
        }
    }
    Ok(())
}
