//! What databases say of the statements that they are to run: looked for only where it is asked for, as it takes connections.

use tokio::runtime;

use super::opened::Opened;
use super::read::Blocks;
use crate::database;
use crate::target::{Asked, Targets as _};
use crate::value::problem::Problems;

/// Asks each database that a route names.
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
        let asked = Asked {
            name: name.as_str(),
            kind: of_this.kind,
            client: &*client,
        };
        for (route, read) in &blocks.routes {
            let Some((_, of_target)) = opened.routes.get(route) else {
                continue;
            };
            match read.target.check_live(asked, of_target).await {
                Ok(found) => {
                    let at = ["routes", route.as_str()];
                    problems.within(&at, |problems| problems.append(found));
                }
                Err(why) => {
                    let why = format!("this database cannot be asked: {why}");
                    problems.error(&["databases", name.as_str()], why);
                    break;
                }
            }
        }
    }
}
