//! What was registered through the admin API: the files of `admin.writable_dir`, which are part of the config wherever that
//! directory lies, and what a change of them would make of the config.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::Depth;
use super::files::{self, Files};
use super::fingerprint::Fingerprint;
use super::parse;
use super::places::Places;
use super::report::{Problem, Report};
use super::source::Source;
use super::tree::{self, Place, Table, Value};
use crate::admin::Kind;
use crate::value::Name;
use crate::value::regular;

#[cfg(test)]
mod tests;
mod text;

pub use text::text_of;

/// The file, below `admin.writable_dir`, of the one of this kind and name. A [`Name`] has nothing in it that leads elsewhere.
pub fn file_name(kind: Kind, name: &Name) -> String {
    format!("{}-{name}.toml", kind.word())
}

/// What becomes of one file of `admin.writable_dir`.
#[derive(Clone, Debug)]
pub struct Change {
    pub kind: Kind,
    pub name: Name,
    /// What the file is to hold; None: it goes.
    pub text: Option<String>,
}

/// Changes that a config can have.
#[derive(Debug)]
pub struct Fit {
    /// `admin.writable_dir`.
    pub directory: PathBuf,
    /// For each change, what the file holds now; None where there is none.
    pub before: Vec<Option<String>>,
}

/// Why a config cannot have changes.
#[derive(Debug)]
pub enum Unfit {
    /// It names no `admin.writable_dir`.
    NoDirectory,
    /// What is to be changed stands in a file that somebody has written: its name and the line.
    ByHand(String),
    /// The whole would have errors.
    Wrong(Report),
}

/// Looks what the config at `path` has to do with `changes`, and hands `decide` what they would replace before anything is
/// checked.
///
/// # Errors
/// Why it cannot have them, or what `decide` says against it.
pub fn try_out<E: From<Unfit>>(
    path: &Path,
    changes: &[Change],
    decide: impl FnOnce(&Fit) -> Result<(), E>,
) -> Result<Fit, E> {
    let mut files = files::read(path);
    let Some(directory) = add_to(&mut files) else {
        return Err(Unfit::NoDirectory.into());
    };
    let mut before = Vec::new();
    for change in changes {
        before.push(take_out(&mut files, &directory, change));
    }
    let root = parse::parse(&files.sources).root;
    for change in changes {
        let at = [change.kind.table().to_owned(), change.name.to_string()];
        if root.at(&at).is_some() {
            let place = root.key_place(&at);
            return Err(Unfit::ByHand(shown(place, &files.sources)).into());
        }
    }
    let fit = Fit { directory, before };
    decide(&fit)?;
    for change in changes {
        let file = fit.directory.join(file_name(change.kind, &change.name));
        if let Some(text) = &change.text {
            let name = file.display().to_string();
            let source = Source::new(name, Some(&file), text.as_bytes());
            files.sources.push(source);
        }
    }
    match super::assemble(&path.display().to_string(), files, Depth::Alone) {
        Ok(_) => Ok(fit),
        Err(report) => Err(Unfit::Wrong(report).into()),
    }
}

/// What tells two contents of a file apart: an entity tag (RFC 9110, section 8.8.3).
pub fn etag(text: &str) -> String {
    let mut print = Fingerprint::new();
    print.add(text.as_bytes());
    format!("\"{}\"", print.hex())
}

/// Adds the files of `admin.writable_dir`, where `files` name one, that are not among them already. Answers which it is.
pub(super) fn add_to(files: &mut Files) -> Option<PathBuf> {
    let directory = files.sources.iter().find_map(named_directory)?;
    let names = match files::config_names(&directory) {
        Ok(names) => names,
        // Nothing was registered yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let name = directory.display().to_string();
            let message = format!("cannot read the directory of `admin.writable_dir`: {error}");
            files.problems.push(Problem::of(name, message));
            Vec::new()
        }
    };
    let known: Vec<PathBuf> = files.watched.iter().filter_map(|file| real(file)).collect();
    let mut paths: Vec<PathBuf> = names.iter().map(|name| directory.join(name)).collect();
    paths.retain(|path| real(path).is_none_or(|real| !known.contains(&real)));
    paths.sort();
    for path in &paths {
        files.read_file(path);
    }
    Some(directory)
}

/// What was registered, by the names of the files, and the entity tag of each.
pub(super) fn etags(files: &Files, directory: &Path) -> Vec<(String, String)> {
    let own = |source: &Source| {
        let path = source.path.as_deref()?;
        let name = path.file_name()?.to_str()?;
        let named = Kind::ALL.into_iter().any(|kind| {
            let stem = name
                .strip_prefix(kind.word())
                .and_then(|n| n.strip_prefix('-'));
            let stem = stem.and_then(|n| n.strip_suffix(".toml"));
            stem.is_some_and(|stem| holds_only(&source.text, kind, stem))
        });
        (named && is_in(path, directory)).then(|| (name.to_owned(), etag(&source.text)))
    };
    files.sources.iter().filter_map(own).collect()
}

/// The directory that a file names, by a whole path.
pub(super) fn named_directory(source: &Source) -> Option<PathBuf> {
    path_in_admin(source, "writable_dir")
}

/// The texts of a config's files, by their names, without those of what was registered.
pub fn texts_by_hand(places: &Places) -> Vec<(String, String)> {
    let registered = places.sources().iter().find_map(named_directory);
    let own = places.sources().iter().filter(|source| {
        let directory = source.path.as_deref().and_then(Path::parent);
        directory.is_none() || directory != registered.as_deref()
    });
    own.map(|source| (source.name.clone(), source.text.clone()))
        .collect()
}

/// The path that a file has under that key of `[admin]`, as a whole one.
pub(super) fn path_in_admin(source: &Source, key: &str) -> Option<PathBuf> {
    if !source.text.contains(key) {
        return None;
    }
    let root = table_of(&source.text);
    let Value::Text(text) = &root.get("admin")?.node.child(key)?.value else {
        return None;
    };
    let path = source.whole_path(text).ok()?;
    (!path.is_empty()).then(|| PathBuf::from(&*path))
}

/// Takes the file of `change` out of `files`, if it is there and nobody has written more into it. Answers what it held.
fn take_out(files: &mut Files, directory: &Path, change: &Change) -> Option<String> {
    let name = file_name(change.kind, &change.name);
    let own =
        |source: &Source| {
            source.path.as_deref().is_some_and(|path| {
                path.file_name() == Some(name.as_ref()) && is_in(path, directory)
            }) && holds_only(&source.text, change.kind, change.name.as_str())
        };
    let at = files.sources.iter().position(own)?;
    Some(files.sources.remove(at).text)
}

/// Whether a file holds one table, that of this name, or nothing that could be read.
fn holds_only(text: &str, kind: Kind, name: &str) -> bool {
    let root = table_of(text);
    let mut keys = root.iter();
    match (keys.next(), keys.next()) {
        (None, _) => true,
        (Some((key, entry)), None) => match &entry.node.value {
            Value::Table(table) => key == kind.table() && table.keys().all(|key| key == name),
            _ => false,
        },
        _ => false,
    }
}

fn table_of(text: &str) -> Table {
    let (table, _errors) = DeTable::parse_recoverable(text);
    tree::table(table.into_inner(), 0)
}

fn is_in(path: &Path, directory: &Path) -> bool {
    path.parent().is_some_and(|parent| {
        parent == directory || real(parent).is_some_and(|parent| Some(parent) == real(directory))
    })
}

/// The path without links.
fn real(path: &Path) -> Option<PathBuf> {
    regular::asking(path, || fs::canonicalize(path)).ok()
}

fn shown(place: Option<&Place>, sources: &[Source]) -> String {
    let Some((place, source)) = place.and_then(|p| Some((p, sources.get(p.source)?))) else {
        return "another file".to_owned();
    };
    let (line, _) = source.position(place.span.start);
    format!("{}:{line}", source.name)
}
