//! Files of a directory, served and written over real sockets.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::{Launch, Proxy};

mod reading;
mod traces;
mod writing;

/// A directory that a proxy serves below `/files/`.
struct Data {
    directory: TempDir,
}

impl Data {
    fn new() -> Data {
        let directory = TempDir::new().unwrap();
        std::fs::create_dir(directory.path().join("data")).unwrap();
        Data { directory }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// What is in it, hidden or not.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn start(&self, options: &str) -> Proxy {
        Launch::new(config(&self.root(), options)).start()
    }
}

fn config(root: &Path, options: &str) -> String {
    format!(
        "[listeners.main]\nlisten = \"127.0.0.1:0\"\n\
         [routes.files]\nmatch = {{ path = \"/files/{{*path}}\" }}\n\
         files = {{ root = {root:?}{options} }}\n"
    )
}
