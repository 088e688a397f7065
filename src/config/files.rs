//! From a path to the text of the files that make up a config.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::fingerprint::{self, Fingerprint};
use super::redact::{self, redact};
use super::report::Problem;
use super::tree::Node;
use crate::value::{Wrong, regular};
use crate::watch::is_config;

/// The text of one file.
#[derive(Debug)]
pub(super) struct Source {
    /// The file as the operator would name it.
    pub name: String,
    /// The file itself; `None` for text that stands in no file.
    path: Option<PathBuf>,
    pub text: String,
    /// The text as it may be shown, once somebody asks for it: a config without a problem is never shown, and what
    /// it takes to find secrets by their looks stays in memory.
    shown: OnceLock<String>,
    /// Where more secrets stand, found when they were read.
    secrets: Mutex<Vec<Range<usize>>>,
    /// Where the file stops being UTF-8, if it does; `text` has replacement characters from there on.
    pub not_text_at: Option<usize>,
    /// The files that were found named in it, with the fingerprint of what each held when it was found: before any
    /// block reads it, so that a file that changes in between is seen as changed the next time.
    named: Mutex<BTreeMap<PathBuf, u128>>,
}

/// Everything that was read, and what could not be.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub sources: Vec<Source>,
    /// The paths that could not be read.
    pub problems: Vec<Problem>,
    /// The config path and every file that was read.
    pub watched: Vec<PathBuf>,
}

/// How often a directory is read again when Kubernetes swaps its content in the middle.
const ATTEMPTS: usize = 5;

/// Reads one file, or all `*.toml` of a directory, sorted by name.
pub(super) fn read(path: &Path) -> Files {
    let mut files = match regular::asking(path, || fs::metadata(path)) {
        Ok(found) if found.is_dir() => read_directory_at_rest(path),
        Ok(_) => {
            let mut files = Files::default();
            files.read_file(path);
            files
        }
        Err(e) => {
            let message = match e.kind() {
                io::ErrorKind::NotFound => {
                    dangling(path).unwrap_or_else(|| "there is no config at this path".to_owned())
                }
                _ => format!("cannot read the config: {e}"),
            };
            let help = "name a file or a directory on the command line, or in `OUTRIGGER_CONFIG`";
            Files::failed(unreadable(path, message).help(help))
        }
    };
    if !files.watched.iter().any(|watched| watched == path) {
        files.watched.insert(0, path.to_owned());
    }
    files
}

/// A ConfigMap volume shows its files through the link `..data`, which the kubelet points elsewhere to update
/// them all at once. Reading across that moment would mix two versions.
fn read_directory_at_rest(path: &Path) -> Files {
    let version = || fs::read_link(path.join("..data")).ok();
    let mut before = version();
    let mut files = read_directory(path);
    for _ in 1..ATTEMPTS {
        let after = version();
        if after == before {
            break;
        }
        before = after;
        files = read_directory(path);
    }
    files
}

fn read_directory(path: &Path) -> Files {
    let mut names = match config_names(path) {
        Ok(names) => names,
        Err(e) => {
            let message = format!("cannot read the directory: {e}");
            return Files::failed(unreadable(path, message));
        }
    };
    names.sort();
    let mut files = Files::default();
    for name in &names {
        files.read_file(&path.join(name));
    }
    if names.is_empty() {
        let problem = unreadable(path, "there is no `*.toml` file in this directory");
        let help = "put the config there, or name another path";
        files.problems.push(problem.help(help));
    }
    files
}

fn config_names(directory: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = Vec::new();
    for entry in regular::asking(directory, || fs::read_dir(directory))? {
        let entry = entry?;
        let name = entry.file_name();
        if is_config(&name) && !entry.path().is_dir() {
            names.push(name);
        }
    }
    Ok(names)
}

impl Files {
    pub fn from_text(name: &str, text: &str) -> Self {
        Files {
            sources: vec![Source::new(name.to_owned(), None, text.as_bytes())],
            ..Files::default()
        }
    }

    /// The same for the same files with the same content.
    pub fn fingerprint(&self) -> String {
        let mut print = Fingerprint::new();
        for source in &self.sources {
            print.add(source.name.as_bytes());
            print.add(source.text.as_bytes());
        }
        for problem in &self.problems {
            print.add(problem.file.as_bytes());
            print.add(problem.message.as_bytes());
        }
        print.hex()
    }

    /// The files that blocks were found to name, and the fingerprints of their content.
    pub fn named(&self) -> BTreeMap<PathBuf, u128> {
        let named = |source: &Source| source.named().clone();
        self.sources.iter().flat_map(named).collect()
    }

    fn failed(problem: Problem) -> Self {
        Files {
            problems: vec![problem],
            ..Files::default()
        }
    }

    fn read_file(&mut self, path: &Path) {
        self.watched.push(path.to_owned());
        match regular::read(path, regular::LARGEST) {
            Ok(bytes) => {
                let name = path.display().to_string();
                self.sources.push(Source::new(name, Some(path), &bytes));
            }
            Err(e) => {
                let message =
                    dangling(path).unwrap_or_else(|| format!("cannot read this file: {e}"));
                self.problems.push(unreadable(path, message));
            }
        }
    }
}

fn unreadable(path: &Path, message: impl Into<String>) -> Problem {
    Problem::of(path.display().to_string(), message)
}

/// What to say of a link that leads nowhere; the error alone would deny what `ls` shows.
fn dangling(path: &Path) -> Option<String> {
    let target = fs::read_link(path).ok()?;
    let missing = matches!(fs::metadata(path), Err(e) if e.kind() == io::ErrorKind::NotFound);
    missing.then(|| {
        format!(
            "this is a link to `{}`, which does not exist",
            target.display()
        )
    })
}

impl Source {
    fn new(name: String, path: Option<&Path>, bytes: &[u8]) -> Self {
        // A byte order mark is no text; without it columns count from the first letter.
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let text = String::from_utf8_lossy(bytes).into_owned();
        Source {
            name,
            path: path.map(Path::to_owned),
            shown: OnceLock::new(),
            secrets: Mutex::default(),
            text,
            not_text_at: std::str::from_utf8(bytes).err().map(|e| e.valid_up_to()),
            named: Mutex::default(),
        }
    }

    fn named(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, u128>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers that `node` is read as a secret.
    pub fn hide(&self, node: &Node) {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.extend(redact::below(node));
    }

    /// The text as it may be shown: secrets struck out, every byte at its place.
    pub fn shown(&self) -> &str {
        self.shown.get_or_init(|| redact(&self.text))
    }

    /// Strikes out all that was found to be a secret when it was read.
    pub fn strike_out(&mut self) {
        let secrets = self
            .secrets
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let mut shown = self.shown.take().unwrap_or_else(|| redact(&self.text));
        for secret in std::mem::take(secrets) {
            redact::strike_out(&mut shown, secret);
        }
        self.shown = OnceLock::from(shown);
    }

    /// Whether part of what stands at `span` is a secret.
    pub fn hides(&self, span: &Range<usize>) -> bool {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let meets = |secret: &Range<usize>| secret.start < span.end && span.start < secret.end;
        secrets.iter().any(meets) || self.text.get(span.clone()) != self.shown().get(span.clone())
    }

    /// An address that stands in this file, with the path of `unix:PATH` made whole: it counts from the directory
    /// of the file. Links are not followed, for it is the name that the operator sees. Text without a file keeps
    /// its paths.
    ///
    /// # Errors
    /// What is wrong when the directory cannot be told or not be written as text.
    pub fn whole_address<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, Wrong> {
        match text.strip_prefix("unix:") {
            Some("") | None => Ok(Cow::Borrowed(text)),
            Some(path) => Ok(match self.whole_path(path)? {
                Cow::Borrowed(_) => Cow::Borrowed(text),
                Cow::Owned(path) => Cow::Owned(format!("unix:{path}")),
            }),
        }
    }

    /// The path of another file that stands in this one, made whole in the same way; it is remembered.
    ///
    /// # Errors
    /// The same.
    pub fn named_file<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, Wrong> {
        if text.is_empty() {
            return Ok(Cow::Borrowed(text));
        }
        let path = self.whole_path(text)?;
        self.named()
            .entry(PathBuf::from(&*path))
            .or_insert_with_key(|path| fingerprint::of_file(path));
        Ok(path)
    }

    fn whole_path<'a>(&self, path: &'a str) -> Result<Cow<'a, str>, Wrong> {
        let directory = self.path.as_deref().and_then(Path::parent);
        let Some(directory) = directory.filter(|_| !path.starts_with('/')) else {
            return Ok(Cow::Borrowed(path));
        };
        let whole = std::path::absolute(directory.join(path)).ok();
        match whole.as_deref().and_then(Path::to_str) {
            Some(whole) => Ok(Cow::Owned(whole.to_owned())),
            None => Err(Wrong::new(format!(
                "`{path}` cannot be joined to the directory of this file"
            ))
            .help("write a whole path")),
        }
    }

    /// Line and column, both from 1; a column is a character.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..boundary(&self.text, offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (
            before.bytes().filter(|b| *b == b'\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }
}

/// The nearest boundary of a character at `offset` or before it.
pub(super) fn boundary(text: &str, offset: usize) -> usize {
    let start = offset.min(text.len());
    // A character has at most four bytes, and 0 is a boundary.
    (0..=start)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(files: &Files) -> Vec<&str> {
        let file_name = |s: &str| s.rfind('/').map_or(0, |slash| slash + 1);
        files
            .sources
            .iter()
            .map(|s| &s.name[file_name(&s.name)..])
            .collect()
    }

    #[test]
    fn a_directory_is_its_toml_files_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.toml", "a.toml", "c.txt", ".d.toml", "..e.toml"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        fs::create_dir(dir.path().join("f.toml")).unwrap();
        let files = read(dir.path());
        assert_eq!(names(&files), ["a.toml", "b.toml"]);
        assert_eq!(files.watched[0], dir.path());
        assert_eq!(files.watched.len(), 3);
        assert!(files.problems.is_empty());
    }

    #[test]
    fn a_config_map_volume_is_read_through_its_links() {
        let dir = tempfile::tempdir().unwrap();
        let version = dir.path().join("..2026_01_01");
        fs::create_dir(&version).unwrap();
        fs::write(version.join("a.toml"), "x = 1").unwrap();
        symlink("..2026_01_01", dir.path().join("..data")).unwrap();
        symlink("..data/a.toml", dir.path().join("a.toml")).unwrap();
        let files = read(dir.path());
        assert_eq!(names(&files), ["a.toml"]);
        assert_eq!(files.sources[0].text, "x = 1");
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).problems[0].message.contains("no `*.toml`"));
        assert!(
            read(&dir.path().join("x")).problems[0]
                .message
                .contains("no config at this path")
        );
        symlink("nowhere", dir.path().join("a.toml")).unwrap();
        let files = read(dir.path());
        assert!(files.problems[0].message.contains("link to `nowhere`"));
        assert!(files.problems[0].file.ends_with("a.toml"));
        let alone = read(&dir.path().join("a.toml"));
        assert!(alone.problems[0].message.contains("link to `nowhere`"));
    }

    #[test]
    fn positions_count_lines_and_characters() {
        let source = Source::new("x".into(), None, "\u{feff}aé\nb".as_bytes());
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(3), (1, 3));
        assert_eq!(source.position(4), (2, 1));
        assert_eq!(source.position(99), (2, 2));
        let broken = Source::new("x".into(), None, b"ab\xff");
        assert_eq!(broken.not_text_at, Some(2));
    }

    #[test]
    fn files_are_named_by_their_directory_and_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        fs::write(&path, "x = 1").unwrap();
        let files = read(&path);
        let source = &files.sources[0];
        let whole = dir.path().join("tls/key.pem");
        assert_eq!(
            source.named_file("tls/key.pem").unwrap(),
            whole.to_str().unwrap()
        );
        assert_eq!(source.named_file("/etc/ca.pem").unwrap(), "/etc/ca.pem");
        let named: Vec<_> = files.named().into_keys().collect();
        assert_eq!(named, ["/etc/ca.pem".into(), whole]);
        let nowhere = Files::from_text("built in", "");
        assert_eq!(nowhere.sources[0].named_file("a").unwrap(), "a");
    }

    #[test]
    fn the_fingerprint_follows_name_and_content() {
        let print = |name, text| Files::from_text(name, text).fingerprint();
        assert_eq!(print("a", "x"), print("a", "x"));
        assert_ne!(print("a", "x"), print("a", "y"));
        assert_ne!(print("a", "x"), print("b", "x"));
    }
}
