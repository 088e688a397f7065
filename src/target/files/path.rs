//! Which file a request's path names.

use percent_encoding::percent_decode_str;

use super::failure;
use crate::http::error::{BAD_PATH, Error};

/// With this begin the names of uploads that are not whole: no request reaches such a file, nor is it listed.
pub(super) const UPLOADING: &[u8] = b".outrigger-upload-";

/// A path below the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Names with a slash between them, each as it stands in its directory; `.` is the root itself.
    pub path: Vec<u8>,
    /// The request's path ends with a slash.
    pub is_directory: bool,
}

/// Reads the percent-encoded `path`, with or without a slash before it. It is decoded once.
///
/// # Errors
/// `bad_path`: a name that no file has. `file_not_found`: one that begins with a dot, unless they are served.
pub(super) fn read(path: &str, is_directory: bool, hidden: bool) -> Result<Wanted, Error> {
    let mut names: Vec<u8> = Vec::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        if !names.is_empty() {
            names.push(b'/');
        }
        let start = names.len();
        names.extend(percent_decode_str(segment));
        let name = &names[start..];
        // A backslash separates names on shares of other systems.
        if matches!(name, b"." | b"..") || name.iter().any(|b| matches!(b, b'/' | b'\\' | 0)) {
            return Err(Error::new(BAD_PATH, "the path has a name that no file has"));
        }
        if name.starts_with(UPLOADING) || !hidden && name.starts_with(b".") {
            return Err(failure::not_found());
        }
    }
    if names.is_empty() {
        names.push(b'.');
    }
    Ok(Wanted {
        path: names,
        is_directory,
    })
}

impl Wanted {
    /// Whether it is the root itself.
    pub fn is_root(&self) -> bool {
        self.path == b"."
    }

    /// The path of something in this directory.
    pub fn child(&self, name: &[u8]) -> Vec<u8> {
        if self.is_root() {
            name.to_vec()
        } else {
            [&self.path, &b"/"[..], name].concat()
        }
    }

    /// The directory in which it lies, and its name there.
    pub fn split(&self) -> (&[u8], &[u8]) {
        match memchr::memrchr(b'/', &self.path) {
            Some(slash) => (&self.path[..slash], &self.path[slash + 1..]),
            None => (b".", &self.path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_once_and_leads_nowhere_else() {
        for (path, expected) in [
            ("a/b.txt", Ok("a/b.txt")),
            ("/a//b", Ok("a/b")),
            ("", Ok(".")),
            ("/", Ok(".")),
            ("caf%C3%A9", Ok("caf\u{e9}")),
            ("a%2520b", Ok("a%20b")),
            ("%252e%252e/x", Ok("%2e%2e/x")),
            ("a..b/...", Err("file_not_found")),
            ("../x", Err("bad_path")),
            ("a/../../x", Err("bad_path")),
            ("%2e%2e/x", Err("bad_path")),
            ("a/.", Err("bad_path")),
            ("a%2Fb", Err("bad_path")),
            ("a%5cb", Err("bad_path")),
            ("a%00", Err("bad_path")),
            (".git/config", Err("file_not_found")),
            ("a/%2Ehtaccess", Err("file_not_found")),
        ] {
            let read = read(path, false, false);
            let read = read
                .as_ref()
                .map(|wanted| std::str::from_utf8(&wanted.path).unwrap());
            assert_eq!(
                read.map_err(|error| error.reason().name),
                expected,
                "{path}"
            );
        }
        assert_eq!(read(".git", true, true).unwrap().path, b".git");
        assert!(read(".outrigger-upload-7", false, true).is_err());
    }

    #[test]
    fn a_path_has_a_directory_and_a_name() {
        let split = |path| {
            let wanted = read(path, false, false).unwrap();
            let (directory, name) = wanted.split();
            (directory.to_vec(), name.to_vec(), wanted.child(b"x"))
        };
        assert_eq!(
            split("a/b/c"),
            (b"a/b".to_vec(), b"c".to_vec(), b"a/b/c/x".to_vec())
        );
        assert_eq!(split("c"), (b".".to_vec(), b"c".to_vec(), b"c/x".to_vec()));
        assert_eq!(split("").2, b"x");
    }
}
