//! `outrigger inject`

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{BAD_USAGE, say_wrong};
use edit::Edits;
use sidecar::Sidecar;
use workload::{Outcome, What};
use wrong::Wrong;
use yaml::Document;

mod edit;
mod sidecar;
#[cfg(test)]
mod tests;
mod update;
#[cfg(test)]
mod update_tests;
mod workload;
mod wrong;
mod yaml;

/// Add the proxy to the pods of Kubernetes manifests, and print them
///
/// Every Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob and Pod with the label or
/// annotation `outrigger: sidecar` is given it, also within a List; so are other kinds with the label and a pod template.
/// All else is printed as it is, comments included. One that has the proxy already has what this program writes brought up
/// to date: the probes, the resources and so on, and the image, the ConfigMap and the Secrets when they are named here.
/// What somebody else added to it stays. Exit code: 0; 1 when nothing asks for it, or with `--check` when something asks
/// for it and has none; 2 when something is wrong, and nothing is printed then.
#[derive(Args)]
#[command(after_help = "Examples:
  outrigger inject -f app.yaml --image registry.example.com/outrigger:0.1.0 | kubectl apply -f -
  kubectl kustomize . | outrigger inject --check -f -")]
pub(super) struct Inject {
    /// A manifest in YAML or JSON; `-` is standard input
    #[arg(short, long = "file", required = true)]
    files: Vec<PathBuf>,
    /// Take those without the label as well, but for those that say `outrigger: none`
    #[arg(long)]
    all: bool,
    /// Print no manifest; say whether everything that asks for the proxy has it
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    sidecar: Sidecar,
}

const LACKING: u8 = 1;

impl Inject {
    pub fn run(&self) -> ExitCode {
        ExitCode::from(self.outcome(&mut io::stdout()))
    }

    /// Writes the manifests; gives the exit code.
    fn outcome(&self, output: &mut impl io::Write) -> u8 {
        let mut manifests: Vec<String> = Vec::new();
        let mut outcomes = Vec::new();
        for path in &self.files {
            let name = path.display();
            let text = match read(path) {
                Ok(text) => text,
                Err(error) => {
                    say_wrong(format_args!("error: {name} cannot be read: {error}"));
                    return BAD_USAGE;
                }
            };
            match inject(&text, &self.sidecar, self.all) {
                Ok((manifest, found)) => {
                    for outcome in &found {
                        self.tell(path, outcome);
                    }
                    outcomes.extend(found.into_iter().map(|outcome| outcome.what));
                    manifests.push(manifest);
                }
                Err(wrong) => {
                    let Wrong { line, column, .. } = wrong;
                    say_wrong(format_args!(
                        "error: {}\n  --> {name}:{line}:{column}",
                        wrong.message
                    ));
                    if !wrong.help.is_empty() {
                        say_wrong(format_args!("  = help: {}", wrong.help));
                    }
                    return BAD_USAGE;
                }
            }
        }
        let all_have_it = !outcomes.contains(&What::Added);
        let has_it = |what: &What| matches!(what, What::Kept | What::Updated);
        let nobody_asks = all_have_it && !outcomes.iter().any(has_it);
        if nobody_asks {
            say_wrong("error: nothing here asks for the proxy");
            say_wrong("  = help: add the label `outrigger: sidecar` to a workload, or say `--all`");
            return LACKING;
        }
        if self.check {
            return if all_have_it { 0 } else { LACKING };
        }
        // A reader that went away is no reason to fail.
        let _ = output.write_all(join(&manifests).as_bytes());
        0
    }

    /// One line for each object that makes pods.
    fn tell(&self, path: &Path, outcome: &Outcome) {
        let what = match outcome.what {
            What::Added if self.check => "asks for the proxy and has none",
            What::Added => "given the proxy",
            What::Updated if self.check => "has the proxy, but not as it would be given it now",
            What::Updated => "has the proxy already, which was brought up to date",
            What::Kept => "has the proxy already",
            What::NotAsked => "does not ask for the proxy",
            What::Refused => "wants no proxy",
        };
        let (name, object) = (path.display(), &outcome.object);
        say_wrong(format_args!(
            "{name}:{}:{}: {object}: {what}",
            outcome.line, outcome.column
        ));
        for note in &outcome.notes {
            say_wrong(format_args!("  = note: {note}"));
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        Ok(text)
    } else {
        fs::read_to_string(path)
    }
}

/// The text with what it lacks, and what became of each object that makes pods.
fn inject(text: &str, sidecar: &Sidecar, all: bool) -> Result<(String, Vec<Outcome>), Wrong> {
    let mut edits = Edits::new(text);
    let mut outcomes = Vec::new();
    let before = yaml::read(text)?;
    for document in &before {
        outcomes.extend(workload::inject(document, &mut edits, sidecar, all)?);
    }
    let (done, replaced) = edits.done();
    let is_changed = |outcome: &&Outcome| matches!(outcome.what, What::Added | What::Updated);
    if let Some(changed) = outcomes.iter().find(is_changed)
        && !is_whole(&before, &done, &replaced, &outcomes, sidecar)
    {
        return Err(Wrong {
            line: changed.line,
            column: changed.column,
            message: "this is written in a way that cannot be changed".to_owned(),
            help: "write it as `kubectl get --output yaml` does",
        });
    }
    Ok((done, outcomes))
}

/// Whether what was printed says all that it said before, but for what was `replaced`, and has what it was given. YAML can
/// be written in more ways than anybody thinks of.
fn is_whole(
    before: &[Document],
    done: &str,
    replaced: &HashSet<usize>,
    outcomes: &[Outcome],
    sidecar: &Sidecar,
) -> bool {
    let Ok(after) = yaml::read(done) else {
        return false;
    };
    let mut none = Edits::new(done);
    let again = after
        .iter()
        .map(|document| workload::inject(document, &mut none, sidecar, false));
    let Ok(again) = again.collect::<Result<Vec<_>, _>>() else {
        return false;
    };
    let has_it =
        |outcome: &Outcome| matches!(outcome.what, What::Added | What::Updated | What::Kept);
    let now: Vec<_> = again
        .iter()
        .flatten()
        .map(|outcome| outcome.what == What::Kept)
        .collect();
    let same = before.len() == after.len()
        && before
            .iter()
            .zip(&after)
            .all(|(before, after)| after.root.keeps(&before.root, replaced));
    same && now == outcomes.iter().map(has_it).collect::<Vec<_>>()
}

/// Several files as one stream of documents.
fn join(manifests: &[String]) -> String {
    let mut joined = String::new();
    for manifest in manifests {
        if !joined.is_empty() && !manifest.starts_with("---") {
            if !joined.ends_with('\n') {
                joined.push('\n');
            }
            joined.push_str("---\n");
        }
        joined.push_str(manifest);
    }
    joined
}
