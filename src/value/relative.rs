//! Paths in a config that count from the file that names them.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::from_text::TextVisitor;
use super::regular;
use crate::value::Wrong;

/// The longest path of a unix socket, in bytes: `sun_path` without its final NUL (unix(7)).
pub const LONGEST_SOCKET_PATH: usize = 107;

/// The name under which a value asks its deserializer to look at text of the form `unix:PATH`.
const RELATIVE_TO_FILE: &str = "outrigger::relative-to-file";

/// The name under which a [`FilePath`] asks its deserializer.
const FILE: &str = "outrigger::file";

/// The name under which a [`DirectoryPath`] asks its deserializer.
const DIRECTORY: &str = "outrigger::directory";

/// What a value asks its deserializer to do with the text that it reads: hand it out with a whole path, counted
/// from the directory of the file in which the text stands. Lists and tables are not entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relative {
    /// Text `unix:PATH`, and no other.
    Address,
    /// All of the text. The file is one that the config names: it is watched, and part of what makes one config
    /// differ from another.
    File,
    /// All of the text. What the directory holds is no part of the config.
    Directory,
}

impl Relative {
    /// What `name`, given to `deserialize_newtype_struct`, asks for.
    pub fn asked_by(name: &str) -> Option<Self> {
        match name {
            RELATIVE_TO_FILE => Some(Relative::Address),
            FILE => Some(Relative::File),
            DIRECTORY => Some(Relative::Directory),
            _ => None,
        }
    }
}

/// A file that the config names, such as a certificate or a secret. A change of its content is a change of the
/// config, and is seen like one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(PathBuf);

impl FilePath {
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// `https` and its like, when somebody wrote a URL for a path.
    fn url_scheme(&self) -> Option<&'static str> {
        const SCHEMES: [&str; 3] = ["https", "http", "file"];
        let mut parts = self
            .0
            .iter()
            .filter_map(|part| part.to_str()?.strip_suffix(':'));
        parts.find_map(|part| SCHEMES.into_iter().find(|scheme| *scheme == part))
    }

    /// The content, when it has at most `limit` bytes.
    ///
    /// # Errors
    /// What names the file and says why it cannot be read.
    pub fn read(&self, limit: u64) -> Result<Vec<u8>, Wrong> {
        if let Some(scheme) = self.url_scheme() {
            return Err(Wrong::new(format!(
                "this is a URL (`{scheme}:`), where a file is meant"
            ))
            .help("nothing is fetched: keep a copy beside the config and write its path"));
        }
        regular::read(&self.0, limit).map_err(|error| Wrong {
            is_absence: error.kind() == io::ErrorKind::NotFound,
            ..Wrong::new(format!("cannot read `{self}`: {error}"))
        })
    }
}

impl From<PathBuf> for FilePath {
    fn from(path: PathBuf) -> Self {
        FilePath(path)
    }
}

impl FromStr for FilePath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err("a path of a file cannot be empty"),
            text => Ok(FilePath(text.into())),
        }
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(FILE, TextVisitor("a path of a file", PhantomData))
    }
}

impl Serialize for FilePath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A directory that the config names. Whoever changes what is in it changes no config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryPath(PathBuf);

impl DirectoryPath {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl From<PathBuf> for DirectoryPath {
    fn from(path: PathBuf) -> Self {
        DirectoryPath(path)
    }
}

impl FromStr for DirectoryPath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err("a path of a directory cannot be empty"),
            text => Ok(DirectoryPath(text.into())),
        }
    }
}

impl fmt::Display for DirectoryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl<'de> Deserialize<'de> for DirectoryPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = TextVisitor("a path of a directory", PhantomData);
        deserializer.deserialize_newtype_struct(DIRECTORY, text)
    }
}

impl Serialize for DirectoryPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a `T` that may be text `unix:PATH`, where the path counts from the directory of the config file.
///
/// The config's own deserializer knows that directory; every other one hands the text out as it is. It has to be
/// asked itself, so this does not reach through a [`Toggle`] or [`OneOrMany`] to a text that stands there alone.
///
/// # Errors
/// Those of `T`.
pub fn relative_to_file<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Inner<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Inner<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("text")
        }

        fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<T, D::Error> {
            T::deserialize(inner)
        }

        /// Serde's deserializers of a single text do not announce the newtype.
        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            T::deserialize(de::value::StrDeserializer::new(text))
        }
    }

    deserializer.deserialize_newtype_struct(RELATIVE_TO_FILE, Inner(PhantomData))
}

/// [`text`](super::text) that may be `unix:PATH`, as [`relative_to_file`] reads it.
///
/// # Errors
/// What `T` says about the text.
pub fn text_relative_to_file<'de, D, T>(
    deserializer: D,
    expecting: &'static str,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    deserializer.deserialize_newtype_struct(RELATIVE_TO_FILE, TextVisitor(expecting, PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_text_that_is_not_empty() {
        #[derive(Deserialize, Serialize, PartialEq, Debug)]
        struct Block {
            file: FilePath,
        }
        let block: Block = toml::from_str("file = \"a/b.pem\"").unwrap();
        assert_eq!(block.file.path(), Path::new("a/b.pem"));
        assert_eq!(
            serde_json::to_string(&block).unwrap(),
            r#"{"file":"a/b.pem"}"#
        );
        for wrong in ["file = \"\"", "file = 1"] {
            assert!(toml::from_str::<Block>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_is_read_up_to_a_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "hello").unwrap();
        let file = FilePath::from(path);
        assert_eq!(file.read(5).unwrap(), b"hello");
        let error = file.read(4).unwrap_err();
        assert!(error.message.ends_with("has more than 4 bytes"), "{error}");
        let error = FilePath::from(PathBuf::from("/nowhere/x")).read(9);
        assert!(
            error
                .unwrap_err()
                .message
                .starts_with("cannot read `/nowhere/x`: ")
        );
    }
}
