//! Neighbours of a file that hold it in a content coding: `app.js.br` beside `app.js`.

use std::sync::Arc;

use http::HeaderValue;
use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

use super::found::Found;
use super::root::Root;
use crate::http::error::Error;
use crate::http::headers::Headers;
use crate::http::semantics::accept_encoding::weight;

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Coding {
    /// `.br`
    Br,
    /// `.zst`
    Zstd,
    /// `.gz`
    Gzip,
}

impl Coding {
    fn name(self) -> &'static str {
        match self {
            Coding::Br => "br",
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    fn ending(self) -> &'static [u8] {
        match self {
            Coding::Br => b".br",
            Coding::Zstd => b".zst",
            Coding::Gzip => b".gz",
        }
    }

    /// As it stands in `Content-Encoding`.
    pub fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }
}

/// The neighbour of the file at `path` that the caller likes best, among those that are there and not older than the file.
/// Of those that it likes alike, the first one of `codings`.
///
/// # Errors
/// The disk failed.
pub(super) async fn neighbour(
    root: &Arc<Root>,
    codings: &[Coding],
    headers: &Headers,
    path: &[u8],
    file: &Found,
) -> Result<Option<(Found, Coding)>, Error> {
    let as_it_is = weight(headers, "identity").max(1);
    let mut liked: Vec<(u16, Coding)> = codings
        .iter()
        .map(|coding| (weight(headers, coding.name()), *coding))
        .filter(|(weight, _)| *weight >= as_it_is)
        .collect();
    liked.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    for (_, coding) in liked {
        let path = [path, coding.ending()].concat();
        match Found::at(root, &path).await {
            Ok(found) if found.kind == FileType::RegularFile => {
                if !found.state.is_older_than(&file.state) {
                    return Ok(Some((found, coding)));
                }
            }
            Ok(_) => {}
            Err(error) if error.status().is_client_error() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
