//! The root block: from files to one [`Config`], or to everything that is wrong with them.
//!
//! Files are read ([`files`]) and parsed into one tree that remembers where each key and value stands
//! ([`parse`], [`tree`]). The rooms' blocks are read from it by a deserializer of our own ([`de`], [`read`]),
//! which goes on behind a problem; then they are checked against each other ([`check`]). Each [`Problem`] that was
//! found on the way is in the [`Report`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::target::Targets as _;
use crate::tls::inventory::Inventory;
use crate::value::Name;
use crate::value::problem::Problems;
use crate::{admin, listener, net::drain, policy, process, route, target, telemetry, upstream};

mod certificates;
mod check;
mod de;
mod elsewhere;
mod files;
mod fingerprint;
mod mount;
mod parse;
mod read;
mod redact;
#[cfg(test)]
mod reference_tests;
mod report;
mod suggest;
mod syntax;
#[cfg(test)]
mod tests;
mod tree;

pub use crate::value::problem::Severity;
pub use report::{Content, Position, Problem, Report};

use files::Files;
use read::{Blocks, Reader};

/// A config that is fit to serve, defaults filled in. It serializes as the operator would write it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    pub admin: admin::Config,
    pub process: process::Config,
    pub log: telemetry::log::Config,
    pub shutdown: drain::Config,
    pub listeners: BTreeMap<Name, listener::Config>,
    pub upstreams: BTreeMap<Name, upstream::Config>,
    pub routes: BTreeMap<Name, RouteConfig>,
}

/// `[routes.NAME]`, one table for all three.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouteConfig<T = target::Config> {
    #[serde(flatten)]
    pub route: route::Config,
    #[serde(flatten)]
    pub target: T,
    /// What the route asks for, `[defaults]` included.
    #[serde(flatten)]
    pub policies: policy::Config,
}

/// A config and what is known about where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    /// Doubts that do not keep it from serving.
    pub warnings: Report,
    pub content: Content,
    /// The path that was given, every file that was read, and every file that those name.
    pub watched: Vec<PathBuf>,
}

/// Reads a file or a directory of `*.toml` files.
///
/// # Errors
/// Everything that is wrong with it, warnings included. A path where nothing is found is an error too.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    assemble(&path.display().to_string(), files::read(path))
}

/// Reads a config from text that stands in no file. `name` is shown where a file's name would be.
///
/// # Errors
/// Everything that is wrong with it, warnings included.
pub fn parse(name: &str, text: &str) -> Result<Loaded, Report> {
    assemble(name, Files::from_text(name, text))
}

/// Every certificate that a config names, also where the config is not fit to serve, and all that is wrong with it.
pub fn certificates(path: &Path) -> (Inventory, Report) {
    let examined = examine(&path.display().to_string(), files::read(path));
    let config = examined.blocks.finish();
    let found = config.map(|config| config.certificates());
    (found.unwrap_or_default(), examined.report)
}

fn assemble(name: &str, files: Files) -> Result<Loaded, Report> {
    let Examined {
        blocks,
        report,
        content,
        watched,
    } = examine(name, files);
    match (report.errors(), blocks.finish()) {
        (0, Some(config)) => Ok(Loaded {
            config,
            warnings: report,
            content,
            watched,
        }),
        _ => Err(report),
    }
}

/// What is known of a config, good or not.
struct Examined {
    blocks: Blocks,
    report: Report,
    content: Content,
    watched: Vec<PathBuf>,
}

fn examine(name: &str, files: Files) -> Examined {
    let hash = files.fingerprint();
    let mut problems = files.problems.clone();
    let (blocks, named) = match files.sources.is_empty() {
        true => Default::default(),
        false => read_all(name, &files, &mut problems),
    };
    let mut watched = files.watched.clone();
    watched.extend(files.named().into_keys());
    problems.extend(mounted_alone(&watched));
    let content = Content { hash, named };
    let report = Report::new(problems, files.sources, content.clone(), &watched);
    Examined {
        blocks,
        report,
        content,
        watched,
    }
}

/// The blocks, and the fingerprint of the files that they name.
fn read_all(name: &str, files: &Files, problems: &mut Vec<Problem>) -> (Blocks, u128) {
    let parsed = parse::parse(&files.sources);
    let incomplete = !parsed.problems.is_empty() || !files.problems.is_empty();
    let mut reader = Reader::new(parsed.root, &files.sources, name, incomplete);
    let blocks = reader.blocks();
    let named_content = fingerprint::of_named(&files.named());
    if !reader.is_incomplete() {
        let mut found = Problems::default();
        check::check(&blocks, &mut found);
        if !found.has_errors() && !reader.has_problems() {
            check::check_use(&blocks, &mut found);
            // Text that stands in no file says the same on every machine.
            if !files.watched.is_empty() {
                check::connections(&blocks, process::descriptors::most(), &mut found);
            }
        }
        found.gather_repeated();
        reader.add(found);
    }
    let readable = |problem: &Problem| {
        let place = problem.place.as_ref();
        place.is_none_or(|place| !parsed.broken.holds(place))
    };
    problems.extend(reader.into_problems().into_iter().filter(readable));
    problems.extend(parsed.problems);
    (blocks, named_content)
}

fn mounted_alone(watched: &[PathBuf]) -> impl Iterator<Item = Problem> {
    watched
        .iter()
        .filter(|path| mount::is_mounted_alone(path))
        .map(|path| {
            Problem::of(
                path.display().to_string(),
                "this path is a mount of its own, so changes to the file may never arrive here",
            )
            .warning()
            .help("mount the directory that holds it, in Kubernetes without `subPath`")
        })
}

impl Blocks {
    /// The whole, when every part of it could be read.
    fn finish(self) -> Option<Config> {
        let defaults = self.defaults?;
        let routes = self.routes.into_iter().map(|(name, read)| {
            let policies = read.policies.or(&defaults);
            let policies = match read.target.is_forwarded() {
                true => policies.with_defaults(),
                false => policies,
            };
            let (route, target) = (read.route, read.target);
            let route = RouteConfig {
                route,
                target,
                policies,
            };
            (name, route)
        });
        let listeners = self.listeners.into_iter();
        Some(Config {
            admin: self.admin?,
            process: self.process?.with_defaults(),
            log: self.log?.with_defaults(),
            shutdown: self.shutdown?,
            listeners: listeners
                .map(|(name, listener)| (name, listener.with_defaults()))
                .collect(),
            upstreams: self.upstreams,
            routes: routes.collect(),
        })
    }
}
