//! Where the keys of a config were set.

use std::fmt;
use std::sync::Arc;

use super::files::Files;
use super::parse;
use super::report::Report;
use super::source::Source;
use super::tree::Node;

/// Where the keys of a config stand, for whoever tells of them. It holds the config as it was written.
#[derive(Clone)]
pub struct Places {
    root: Node,
    sources: Arc<[Source]>,
}

/// A file, and a line of it, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    pub line: usize,
}

impl Places {
    /// Those of `files`, good or not.
    pub(super) fn of_files(files: Files) -> Self {
        Places {
            root: parse::parse(&files.sources).root,
            sources: files.sources.into(),
        }
    }

    /// Where exactly this key stands, as `file:line`; None where it does not.
    pub fn of(&self, path: &[&str]) -> Option<String> {
        let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
        self.exact(&path).map(|place| place.to_string())
    }

    pub(super) fn new(root: Node, report: &Report) -> Self {
        Places {
            root,
            sources: report.sources().clone(),
        }
    }

    /// Where the last key of `path` was set, such as `["routes", "pay", "timeout"]`: on the route itself, or in
    /// `[defaults]`. None when nobody wrote it, so that it is a default of the program.
    pub fn set(&self, path: &[String]) -> Option<Place> {
        if let Some(place) = self.exact(path) {
            return Some(place);
        }
        match path {
            [table, _, key, rest @ ..] if table == "routes" => {
                let of_route = [&path[..2], std::slice::from_ref(key)].concat();
                if self.root.at(&of_route).is_some() {
                    return None;
                }
                self.exact(&[&["defaults".to_owned(), key.clone()], rest].concat())
            }
            _ => None,
        }
    }

    /// The same, or where the nearest key above it stands.
    pub fn nearest(&self, path: &[String]) -> Option<Place> {
        self.set(path).or_else(|| {
            (1..path.len())
                .rev()
                .find_map(|above| self.set(&path[..above]))
        })
    }

    /// The files of the config.
    pub(super) fn sources(&self) -> &[Source] {
        &self.sources
    }

    fn exact(&self, path: &[String]) -> Option<Place> {
        self.root.at(path)?;
        let place = self.root.key_place(path)?;
        let source = self.sources.get(place.source)?;
        Some(Place {
            file: source.name.clone(),
            line: source.position(place.span.start).0,
        })
    }
}

/// Shows nothing of the config, which may hold secrets.
impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Places")
    }
}

/// `file:line`
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn a_key_is_found_where_it_was_set() {
        let text = "[listeners.a]\nlisten = \"unix:/a\"\n[defaults]\ntimeout = \"2s\"\n\n[routes.pay]\nrespond = { status = 200 }\n";
        let places = parse("x.toml", text).unwrap().places;
        let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        let set = |text: &str| places.set(&path(text)).map(|place| place.to_string());
        assert_eq!(set("routes.pay").as_deref(), Some("x.toml:6"));
        assert_eq!(
            set("routes.pay.respond.status").as_deref(),
            Some("x.toml:7")
        );
        assert_eq!(set("routes.pay.timeout").as_deref(), Some("x.toml:4"));
        assert_eq!(set("routes.pay.retry"), None);
        assert_eq!(set("routes.pay.respond.body"), None);
        let nearest = places.nearest(&path("routes.pay.respond.body")).unwrap();
        assert_eq!(nearest.to_string(), "x.toml:7");
    }
}
