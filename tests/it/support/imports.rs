//! Which files of the program name what others define, read off the source text.
//!
//! A name counts for the file that defines it: `pub use` hands it on, and is no dependence of the file that does so.
//! Neither is `mod`, nor an import of a module of which nothing is used.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::sources::{SourceFile, rust_files};
use super::tokens::tokens;

/// A module, as the names from the crate's root to it.
pub type Module = Vec<String>;

/// A file of the program.
struct File {
    uses: Vec<Use>,
    /// What stands in it outside of `use`, as paths of at least one name.
    paths: Vec<Vec<String>>,
}

/// One name that `use` brings in.
struct Use {
    /// Whether others can import it from here.
    handed_on: bool,
    path: Vec<String>,
    name: String,
}

/// Which modules each module uses, of those that have a file, tests apart.
pub fn dependences() -> BTreeMap<Module, BTreeSet<Module>> {
    let files = rust_files(Path::new("src")).into_iter();
    let files = files.filter(|file| !file.is_for_tests() && !file.path.ends_with("main.rs"));
    let files: BTreeMap<Module, File> = files.map(|file| (module(&file), read(&file))).collect();
    let tree = Tree { files };
    tree.files
        .iter()
        .map(|(module, file)| (module.clone(), tree.used_by(module, file)))
        .collect()
}

fn module(file: &SourceFile) -> Module {
    let path = file.path.with_extension("");
    let names = path
        .iter()
        .skip(1)
        .map(|name| name.to_string_lossy().into_owned());
    names
        .filter(|name| !["mod", "lib"].contains(&name.as_str()))
        .collect()
}

struct Tree {
    files: BTreeMap<Module, File>,
}

impl Tree {
    fn used_by(&self, module: &Module, file: &File) -> BTreeSet<Module> {
        let imported = file.uses.iter().filter(|import| {
            // A file that hands a name on may also use it itself.
            !import.handed_on || file.paths.iter().any(|path| path[0] == import.name)
        });
        let imported = imported.map(|import| &import.path);
        let written = file.paths.iter().filter(|path| path.len() > 1);
        let paths = imported.chain(written);
        paths
            .filter_map(|path| self.definition(&self.whole(module, path, 0)?, 0))
            .filter(|other| other != module)
            .collect()
    }

    /// The same path from the crate's root; none when it leads out of the crate, or is a name of the file's own.
    fn whole(&self, from: &Module, path: &[String], depth: usize) -> Option<Vec<String>> {
        let first = path[0].as_str();
        let ups = path.iter().take_while(|name| *name == "super").count();
        match first {
            "crate" => return Some(path[1..].to_vec()),
            "self" => return Some([from, &path[1..]].concat()),
            "super" => return Some([&from[..from.len() - ups], &path[ups..]].concat()),
            _ => {}
        }
        let below = [from, &path[..1]].concat();
        if self.files.contains_key(&below) {
            return Some([&below, &path[1..]].concat());
        }
        // A module that was imported.
        let uses = self.files[from].uses.iter();
        let mut imported = uses.filter(|import| import.name == first && import.path[0] != first);
        let import = imported.next().filter(|_| path.len() > 1 && depth < 4)?;
        let module = self.whole(from, &import.path, depth + 1)?;
        self.files
            .contains_key(&module)
            .then(|| [&module, &path[1..]].concat())
    }

    /// The module that defines what is at `path`; none for a module itself.
    fn definition(&self, path: &[String], depth: usize) -> Option<Module> {
        let longest = (0..=path.len()).rev();
        let mut modules = longest.map(|length| path[..length].to_vec());
        let module = modules.find(|module| self.files.contains_key(module))?;
        let name = path.get(module.len())?;
        let uses = self.files.get(&module)?.uses.iter();
        let mut handed = uses.filter(|import| import.name == *name && depth < 8);
        match handed
            .next()
            .and_then(|import| self.whole(&module, &import.path, 0))
        {
            Some(whole) => {
                let rest = &path[module.len() + 1..];
                self.definition(&[&whole, rest].concat(), depth + 1)
            }
            None => Some(module),
        }
    }
}

fn read(file: &SourceFile) -> File {
    let tokens = tokens(file.program());
    let mut read = File {
        uses: Vec::new(),
        paths: Vec::new(),
    };
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at] == "use" {
            let end = at
                + tokens[at..]
                    .iter()
                    .position(|token| *token == ";")
                    .unwrap_or(0);
            let handed_on = at > 0 && ["pub", ")"].contains(&tokens[at - 1]);
            expand(&tokens[at + 1..end], &[], handed_on, &mut read.uses);
            at = end;
        } else if is_name(tokens[at]) {
            let mut path = vec![tokens[at].to_owned()];
            while tokens.get(at + 1) == Some(&"::")
                && tokens.get(at + 2).is_some_and(|t| is_name(t))
            {
                at += 2;
                path.push(tokens[at].to_owned());
            }
            read.paths.push(path);
        }
        at += 1;
    }
    read
}

/// The names that a tree of imports brings in.
fn expand(tree: &[&str], above: &[String], handed_on: bool, uses: &mut Vec<Use>) {
    let group = tree.iter().position(|token| *token == "{");
    let names = tree[..group.unwrap_or(tree.len())].iter();
    let names: Vec<&str> = names.copied().filter(|token| *token != "::").collect();
    let (names, alias) = match names.iter().position(|name| *name == "as") {
        Some(place) => (&names[..place], names.get(place + 1)),
        None => (&names[..], None),
    };
    let mut path = above.to_vec();
    path.extend(names.iter().map(|name| (*name).to_owned()));
    if let Some(group) = group {
        let mut depth = 0;
        let items = tree[group + 1..tree.len() - 1].split(|token| {
            depth += i32::from(*token == "{") - i32::from(*token == "}");
            depth == 0 && *token == ","
        });
        for item in items.filter(|item| !item.is_empty()) {
            expand(item, &path, handed_on, uses);
        }
        return;
    }
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    if let Some(last) = path.last() {
        let name = alias.map_or(last.as_str(), |alias| alias).to_owned();
        uses.push(Use {
            handed_on,
            path,
            name,
        });
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}
