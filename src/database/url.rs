//! What a URL says of a database, beyond its scheme.

#[cfg(any(feature = "mysql", feature = "postgres"))]
use percent_encoding::percent_decode_str;

use super::Kind;
#[cfg(feature = "mysql")]
use super::mariadb;
#[cfg(feature = "postgres")]
use super::postgres;
#[cfg(feature = "sqlite")]
use super::sqlite;
use crate::value::Wrong;

/// Whether TLS is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encrypted {
    /// Where the block has `tls`.
    AsConfigured,
    Always,
    Never,
}

/// Judges a URL of this kind. Nothing of it is told: it is a secret.
pub(super) fn check(kind: Kind, url: &str) -> Result<Encrypted, Wrong> {
    match kind {
        #[cfg(feature = "postgres")]
        Kind::Postgres => postgres::check_url(url),
        #[cfg(feature = "mysql")]
        Kind::MySql => mariadb::check_url(url),
        #[cfg(feature = "sqlite")]
        Kind::Sqlite => sqlite::check_url(url),
        #[cfg(not(all(feature = "mysql", feature = "postgres", feature = "sqlite")))]
        _ => Kind::of_url(url).map(|_| Encrypted::Never),
    }
}

/// The host and the port of `host`, `host:port` or `[::1]:port`, or the path of a socket, percent-encoded. None where it is none.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) fn place(text: &str, port: u16) -> Option<(String, u16)> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && !port.ends_with(']') => {
            (name, port.parse().ok()?)
        }
        _ => (text, port),
    };
    let name = percent_decode_str(name).decode_utf8().ok()?;
    if name.starts_with('/') {
        return Some((name.into_owned(), port));
    }
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let bare = bare.unwrap_or(&name);
    let fits = !bare.is_empty() && port != 0 && !bare.contains(['@', '#', ' ', '[', ']', '\0']);
    fits.then(|| (bare.to_owned(), port))
}

/// A part of a URL, decoded.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) fn decode(text: &str) -> Result<String, Wrong> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.ok().filter(|text| !text.contains('\0'));
    decoded.map(|text| text.into_owned()).ok_or_else(|| {
        Wrong::new(
            "the user, the password or the name in the URL of this database is not text in UTF-8",
        )
    })
}
