//! `outrigger redirect`: has the kernel send connections to the proxy's listeners.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{say, say_wrong};

mod iptables;
mod options;
mod plan;
mod rule;
mod show;
mod table;
#[cfg(test)]
mod tests;

use iptables::{Family, Programs, Tool, Trouble};
use options::Install;
use plan::Plan;
use table::Table;

/// Install, remove or show the iptables rules of the transparent mode, in the network namespace this runs in
///
/// The listeners have `transparent = true`. It takes the programs `iptables` and `ip6tables`, of either flavour, and the capability NET_ADMIN. TCP is
/// redirected; UDP is left alone. Exit code: 0 when it is done, 1 when it failed, 2 for a bad command line.
#[derive(Args)]
#[command(after_help = "Examples:
  outrigger redirect install --outbound-port 15001 --proxy-uid 65532
  outrigger redirect install --outbound-port 15001 --inbound-port 15006 --exclude-outbound-cidrs 10.0.0.0/8
  outrigger redirect show
  outrigger redirect remove")]
pub(super) struct Redirect {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Install the rules, in place of those that are there
    ///
    /// What this machine sends to itself is left alone, and so is what the proxy's own user sends. As often as it is
    /// run, the rules are there once. Each family's rules are replaced in one step.
    #[command(after_help = "Example:
  outrigger redirect install --outbound-port 15001 --inbound-port 15006 --exclude-inbound-ports 15020")]
    Install(Box<Install>),
    /// Remove all that `install` has installed, with whatever options
    #[command(after_help = "Example:\n  outrigger redirect remove")]
    Remove(With),
    /// Say in words what is installed, and by which options
    #[command(after_help = "Example:\n  outrigger redirect show")]
    Show(With),
}

/// With which programs.
#[derive(Args)]
struct With {
    /// The program to install with, such as `iptables-legacy` or a path; `ip6tables-legacy` stands beside it. Default:
    /// `iptables`, or where it does not work `iptables-nft` or `iptables-legacy`. What the other flavour has of ours is
    /// shown and removed as well
    #[arg(long, value_name = "PROGRAM", value_parser = iptables::name)]
    iptables: Option<String>,
}

impl Redirect {
    pub fn run(&self) -> ExitCode {
        let done = match &self.action {
            Action::Install(install) => self::install(install),
            Action::Remove(with) => remove(with),
            Action::Show(with) => show(with),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(trouble) => {
                say_wrong(format_args!("error: {trouble}"));
                ExitCode::FAILURE
            }
        }
    }
}

fn install(install: &Install) -> Result<(), Trouble> {
    let plan = install.plan();
    if install.dry_run {
        for family in families(install.no_ipv6) {
            let script = plan.script(*family, &Table::default());
            say(format_args!("# {}\n{script}", family.restore()));
        }
        return Ok(());
    }
    let programs = Programs::find(install.with.iptables.as_deref())?;
    for family in families(install.no_ipv6) {
        if let Err(trouble) = install_one(&plan, &programs, *family) {
            if !(family.is_off() && family.has_nothing(&trouble)) {
                return Err(trouble.while_installing(*family));
            }
            say("IPv6 is off here, and left alone");
        }
    }
    if install.no_ipv6 {
        // Those of an earlier installation would stay behind.
        clear_all(&programs, Family::V6)?;
    }
    show(&install.with)
}

fn families(no_ipv6: bool) -> &'static [Family] {
    if no_ipv6 {
        &[Family::V4]
    } else {
        &[Family::V4, Family::V6]
    }
}

/// Installs one family's rules with the first tool that can, and removes those of the other flavour, which would
/// redirect as well.
fn install_one(plan: &Plan, programs: &Programs, family: Family) -> Result<(), Trouble> {
    let (tool, table) = programs.usable(family)?;
    tool.restore(family, &plan.script(family, &table))?;
    for other in &programs.tools {
        if other.flavour != tool.flavour {
            clear(other, family)?;
        }
    }
    Ok(())
}

/// Removes one family's rules of one flavour. True where there were any.
fn clear(tool: &Tool, family: Family) -> Result<bool, Trouble> {
    let table = tool.installed(family)?;
    if table.is_empty() {
        return Ok(false);
    }
    tool.restore(family, &Plan::default().script(family, &table))?;
    Ok(true)
}

/// Removes one family's rules. True where there were any.
fn clear_all(programs: &Programs, family: Family) -> Result<bool, Trouble> {
    let mut any = false;
    for tool in &programs.tools {
        match clear(tool, family) {
            Ok(removed) => any |= removed,
            Err(trouble) if family.has_nothing(&trouble) => {}
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(any)
}

fn remove(with: &With) -> Result<(), Trouble> {
    let programs = Programs::find(with.iptables.as_deref())?;
    let v4 = clear_all(&programs, Family::V4)?;
    let v6 = clear_all(&programs, Family::V6)?;
    say(if v4 || v6 {
        "removed"
    } else {
        "nothing is installed here"
    });
    Ok(())
}

fn show(with: &With) -> Result<(), Trouble> {
    let programs = Programs::find(with.iptables.as_deref())?;
    let mut found = Vec::new();
    for family in [Family::V4, Family::V6] {
        for tool in &programs.tools {
            match tool.installed(family) {
                Ok(table) if table.is_empty() => {}
                Ok(table) => found.push((tool.title(family), table)),
                Err(trouble) if family.has_nothing(&trouble) => {}
                Err(trouble) => return Err(trouble),
            }
        }
    }
    say(show::text(&found));
    Ok(())
}
