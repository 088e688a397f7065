//! The repository's own files.

use std::fs;
use std::path::{Path, PathBuf};

pub struct SourceFile {
    /// From the repository's root.
    pub path: PathBuf,
    pub text: String,
}

impl SourceFile {
    /// Whether all of it is for tests.
    pub fn is_for_tests(&self) -> bool {
        let names = self.path.iter().map(|part| part.to_string_lossy());
        let mut names = names.map(|name| name.trim_end_matches(".rs").to_owned());
        names.any(|name| {
            name.ends_with("tests") || ["testing", "fake", "races"].contains(&name.as_str())
        })
    }

    /// The text without the unit tests in it, which stand at its end.
    pub fn program(&self) -> &str {
        let starts = ["mod tests {", "pub(crate) mod tests {"];
        let starts = starts.map(|start| self.text.find(&format!("#[cfg(test)]\n{start}")));
        let end = starts.into_iter().flatten().min();
        &self.text[..end.unwrap_or(self.text.len())]
    }
}

/// Every Rust file below a folder.
pub fn rust_files(folder: &Path) -> Vec<SourceFile> {
    files(folder, "rs")
}

/// Every file below a folder whose name ends so; none when there is no such folder.
pub fn files(folder: &Path, ending: &str) -> Vec<SourceFile> {
    let mut found = Vec::new();
    collect(&root().join(folder), ending, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn collect(folder: &Path, ending: &str, found: &mut Vec<SourceFile>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            collect(&path, ending, found);
        } else if path.extension().is_some_and(|e| e == ending) {
            found.push(SourceFile {
                text: fs::read_to_string(&path).expect("a text file"),
                path: path
                    .strip_prefix(root())
                    .expect("a file below the root")
                    .to_owned(),
            });
        }
    }
}
