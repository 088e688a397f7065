//! What a URL says of a database, beyond its scheme.

use super::Kind;
#[cfg(feature = "postgres")]
use super::postgres;
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
        _ => Kind::of_url(url).map(|_| Encrypted::Never),
    }
}
