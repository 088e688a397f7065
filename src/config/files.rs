//! From a path to the text of the files that make up a config.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::fingerprint::Fingerprint;
use super::report::Problem;
use super::source::Source;
use crate::value::regular;
use crate::watch::is_config;

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

pub(super) fn config_names(directory: &Path) -> io::Result<Vec<std::ffi::OsString>> {
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

    /// The same from the `texts` of files, by their names, as if they stood in the directory or took the place of the file `at`.
    pub fn from_texts(at: &Path, texts: &[(String, String)]) -> Self {
        let beside = |name: &str| {
            if at.is_dir() {
                at.join(Path::new(name).file_name().unwrap_or_default())
            } else {
                at.to_owned()
            }
        };
        let read = texts
            .iter()
            .map(|(name, text)| Source::new(name.clone(), Some(&beside(name)), text.as_bytes()));
        Files {
            sources: read.collect(),
            watched: vec![at.to_owned()],
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

    pub fn read_file(&mut self, path: &Path) {
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
