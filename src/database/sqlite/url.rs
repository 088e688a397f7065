//! `sqlite:///data/shop.db?mode=rw`: a file, and what may be done with it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use crate::database::url::Encrypted;
use crate::value::Wrong;

/// A file, and what may be done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub path: PathBuf,
    pub access: Access,
    /// Nobody changes the file: it is read without locks, and without a journal beside it.
    pub immutable: bool,
}

/// `?mode=`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// `ro`
    Read,
    /// `rw`
    Write,
    /// `rwc`: a file that is not there is made.
    Create,
}

/// What is wrong with a URL. Nothing of it is told but names of parameters: it is a secret.
pub(in crate::database) fn check(url: &str) -> Result<Encrypted, Wrong> {
    parse(url).map(|_| Encrypted::Never)
}

pub(super) fn parse(url: &str) -> Result<Place, Wrong> {
    let form = || {
        Wrong::new("the URL of this database names no file by an absolute path")
            .help("write three slashes, like \"sqlite:///data/shop.db\"")
    };
    let (_, rest) = url.split_once("://").ok_or_else(form)?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let bytes: Vec<u8> = percent_decode_str(path).collect();
    if !path.starts_with('/') || path.ends_with('/') || bytes.contains(&0) {
        return Err(form());
    }
    let mut place = Place {
        path: PathBuf::from(OsString::from_vec(bytes)),
        access: Access::Write,
        immutable: false,
    };
    let mut mode = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match (&*name, &*value) {
            ("mode", "ro") => mode = Some(Access::Read),
            ("mode", "rw") => mode = Some(Access::Write),
            ("mode", "rwc") => mode = Some(Access::Create),
            ("immutable", "1" | "true") => place.immutable = true,
            ("immutable", "0" | "false") => place.immutable = false,
            _ => return Err(unknown(&name)),
        }
    }
    place.access = match mode {
        None if place.immutable => Access::Read,
        None => Access::Write,
        Some(Access::Write | Access::Create) if place.immutable => {
            return Err(Wrong::new(
                "the URL of this database has a file written that is `immutable`",
            )
            .help("write `mode=ro`, or take out one of them"));
        }
        Some(access) => access,
    };
    Ok(place)
}

fn unknown(name: &str) -> Wrong {
    let name: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(32)
        .collect();
    Wrong::new(format!(
        "`{name}` in the URL of this database is not known, or has a wrong value"
    ))
    .help("known are `mode`, which is `ro`, `rw` or `rwc`, and `immutable=1`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_file_and_what_may_be_done_with_it() {
        for (url, path, access, immutable) in [
            ("sqlite:///a/b.db", "/a/b.db", Access::Write, false),
            ("sqlite:///a%20b%3f?mode=ro", "/a b?", Access::Read, false),
            ("SQLite:///a?mode=rwc", "/a", Access::Create, false),
            ("sqlite:///a?immutable=1", "/a", Access::Read, true),
            ("sqlite:///a?immutable=1&mode=ro", "/a", Access::Read, true),
        ] {
            let place = parse(url).unwrap();
            let expected = Place {
                path: path.into(),
                access,
                immutable,
            };
            assert_eq!(place, expected);
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_it() {
        for url in [
            "sqlite:hush",
            "sqlite://hush/x.db",
            "sqlite://hush",
            "sqlite:///hush/",
            "sqlite:///hush%00x",
            "sqlite::memory:",
            "sqlite:///x?mode=hush",
            "sqlite:///x?vfs=hush",
            "sqlite:///x?key=hush",
            "sqlite:///hush?immutable=1&mode=rw",
        ] {
            let wrong = check(url).unwrap_err();
            assert!(!format!("{wrong:?}").contains("hush"), "{wrong:?}");
        }
    }
}
