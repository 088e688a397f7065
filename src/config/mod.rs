//! The root block: from files to one [`Config`], or to everything that is wrong with them.
//!
//! Files are read ([`files`]) and parsed into one tree that remembers where each key and value stands
//! ([`parse`], [`tree`]). The rooms' blocks are read from it by a deserializer of our own ([`de`], [`read`]),
//! which goes on behind a problem; then they are checked against each other ([`check`]), and the files that they name are
//! opened ([`opened`]). What comes of that can serve ([`checked`]). Each [`Problem`] that was found on the way is in the
//! [`Report`].

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::process;
use crate::tls::inventory::Inventory;
use crate::value::problem::Problems;

mod bridge;
mod check;
mod checked;
mod de;
mod elsewhere;
mod files;
mod fingerprint;
mod live;
mod mount;
mod opened;
mod parse;
mod places;
mod read;
mod redact;
#[cfg(test)]
mod reference_tests;
pub mod registered;
mod report;
mod secrets;
mod source;
mod suggest;
mod syntax;
#[cfg(test)]
mod tests;
mod tree;

pub use crate::value::problem::Severity;
pub use checked::{Config, RouteConfig};
pub use places::{Place, Places};
pub use report::{Content, Position, Problem, Report};
pub use suggest::nearest;

use files::Files;
use opened::Opened;
use read::{Blocks, Reader};
use tree::Node;

/// A config and what is known about where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    /// Doubts that do not keep it from serving.
    pub warnings: Report,
    pub content: Content,
    /// The path that was given, every file that was read, and every file that those name.
    pub watched: Vec<PathBuf>,
    /// Whether it is what was found at its path, and not the last good one in its place.
    pub is_on_disk: bool,
    /// Where its keys stand. Large: nobody keeps it while the config serves.
    pub places: Places,
}

/// Reads a file or a directory of `*.toml` files.
///
/// # Errors
/// Everything that is wrong with it, warnings included. A path where nothing is found is an error too.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    assemble(
        &path.display().to_string(),
        read_all_files(path),
        Depth::Alone,
    )
}

/// The same, and asks the databases what they think of the statements that routes have them run. They run nothing of it.
///
/// # Errors
/// As [`load`], and a database that cannot be asked.
pub fn load_live(path: &Path) -> Result<Loaded, Report> {
    assemble(
        &path.display().to_string(),
        read_all_files(path),
        Depth::Live,
    )
}

/// The files that a config at `path` is made of, beside what was registered.
///
/// # Errors
/// When the directory cannot be read.
pub fn files_at(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut names = files::config_names(path)?;
    names.sort();
    Ok(names.iter().map(|name| path.join(name)).collect())
}

/// The directory of `admin.state_dir`, as far as it can be told of a config that may be broken.
pub fn state_directory(path: &Path) -> Option<PathBuf> {
    let files = files::read(path);
    let mut sources = files.sources.iter();
    sources.find_map(|source| registered::path_in_admin(source, "state_dir"))
}

/// Reads a config from the `texts` of files, by their names, as if they stood in the directory or took the place of the file
/// `at`; what was registered is part of it.
///
/// # Errors
/// As [`load`].
pub fn load_texts(at: &Path, texts: &[(String, String)]) -> Result<Loaded, Report> {
    let mut files = Files::from_texts(at, texts);
    registered::add_to(&mut files);
    assemble(&at.display().to_string(), files, Depth::Alone)
}

/// Where the keys stand of the files at `path` as they are now, good or not; and the `hash` of the [`Content`] of these files.
pub fn places(path: &Path) -> (Places, String) {
    let files = read_all_files(path);
    let hash = files.fingerprint();
    (Places::of_files(files), hash)
}

/// What a config is held against.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Itself, and the files that it names.
    Alone,
    /// Its databases as well.
    Live,
    /// Itself, and what it names as far as this machine has it.
    Offline,
}

/// The files at `path`, and those that were registered.
fn read_all_files(path: &Path) -> Files {
    let mut files = files::read(path);
    registered::add_to(&mut files);
    files
}

/// Reads a config from text that stands in no file. `name` is shown where a file's name would be.
///
/// # Errors
/// Everything that is wrong with it, warnings included.
pub fn parse(name: &str, text: &str) -> Result<Loaded, Report> {
    assemble(name, Files::from_text(name, text), Depth::Alone)
}

/// What is wrong with the config at `path`, where the files, directories and variables of the environment that it names may
/// be missing: that is noted. Nothing else is excused.
pub fn check_offline(path: &Path) -> Report {
    let files = read_all_files(path);
    examine(&path.display().to_string(), files, Depth::Offline).report
}

/// The same for text that stands in no file.
pub fn check_text_offline(name: &str, text: &str) -> Report {
    examine(name, Files::from_text(name, text), Depth::Offline).report
}

/// Every certificate that a config names, also where the config is not fit to serve, and all that is wrong with it.
pub fn certificates(path: &Path) -> (Inventory, Report) {
    let files = read_all_files(path);
    let examined = examine(&path.display().to_string(), files, Depth::Alone);
    let (_, found) = examined.blocks.finish(examined.opened);
    (found, examined.report)
}

fn assemble(name: &str, files: Files, depth: Depth) -> Result<Loaded, Report> {
    let Examined {
        blocks,
        opened,
        report,
        content,
        watched,
        root,
    } = examine(name, files, depth);
    match (report.errors(), blocks.finish(opened)) {
        (0, (Some(config), _)) => Ok(Loaded {
            config,
            is_on_disk: true,
            places: Places::new(root, &report),
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
    opened: Opened,
    report: Report,
    content: Content,
    watched: Vec<PathBuf>,
    /// As it is written.
    root: Node,
}

/// What was read of the files of a config.
#[derive(Default)]
struct AllRead {
    blocks: Blocks,
    opened: Opened,
    /// The files that they name, with the fingerprint of each.
    named: BTreeMap<PathBuf, u128>,
    /// The secrets that stand in them.
    secrets: BTreeMap<String, u64>,
    root: Node,
}

fn examine(name: &str, files: Files, depth: Depth) -> Examined {
    let hash = files.fingerprint();
    let mut problems = files.problems.clone();
    let read = if files.sources.is_empty() {
        AllRead::default()
    } else {
        read_all(name, &files, depth, &mut problems)
    };
    let mut watched = files.watched.clone();
    watched.extend(files.named().into_keys());
    problems.extend(mounted_alone(&watched));
    let directory = files.sources.iter().find_map(registered::named_directory);
    let registered = directory.map(|directory| registered::etags(&files, &directory));
    let content = Content {
        hash,
        named: Arc::new(read.named),
        secrets: Arc::new(read.secrets),
        registered: Arc::new(registered.into_iter().flatten().collect()),
    };
    let report = Report::new(problems, files.sources, content.clone(), &watched);
    Examined {
        blocks: read.blocks,
        opened: read.opened,
        report,
        content,
        watched,
        root: read.root,
    }
}

fn read_all(name: &str, files: &Files, depth: Depth, problems: &mut Vec<Problem>) -> AllRead {
    let parsed = parse::parse(&files.sources);
    let incomplete = !parsed.problems.is_empty() || !files.problems.is_empty();
    let mut reader = Reader::new(parsed.root, &files.sources, name, incomplete);
    let blocks = reader.blocks();
    let named = files.named();
    let mut opened = Opened::default();
    if !reader.is_incomplete() {
        let mut found = Problems::default();
        check::check(&blocks, &mut found);
        opened = opened::open(&blocks, &mut found);
        if depth == Depth::Offline {
            found.excuse_absences();
        }
        bridge::check(&blocks, &opened, &mut found);
        if !found.has_errors() && !reader.has_problems() {
            check::check_use(&blocks, &mut found);
            // Text that stands in no file says the same on every machine.
            if !files.watched.is_empty() {
                check::connections(&blocks, process::descriptors::most(), &mut found);
            }
            if depth == Depth::Live {
                live::check(&blocks, &opened, &mut found);
            }
        }
        found.gather_repeated();
        reader.add(found);
    }
    let readable = |problem: &Problem| {
        let place = problem.place.as_ref();
        place.is_none_or(|place| !parsed.broken.holds(place))
    };
    let secrets = secrets::of(reader.root(), &files.sources);
    let (found, root) = reader.into_parts();
    problems.extend(found.into_iter().filter(readable));
    problems.extend(parsed.problems);
    AllRead {
        blocks,
        opened,
        named,
        secrets,
        root,
    }
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
