//! By what a request is known after it is gone: to whoever asks what became of it, and in the logs of others.

use http::Method;

use crate::http::message::{Outline, Request, RequestId};
use crate::http::trace_heads;
use crate::trace::TraceId;

/// What a request is known by to its end.
#[derive(Clone)]
pub struct Known {
    pub request_id: RequestId,
    pub trace: Option<TraceId>,
    /// Not known of every request whose head was refused, as the path.
    pub method: Option<Method>,
    pub path: Option<Path>,
}

/// A path without its query, and of a long one the beginning. One that is short needs no memory of its own, and none
/// needs that of the head.
#[derive(Clone)]
pub enum Path {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Box<str>),
}

const SHORT: usize = 62;
const LONGEST: usize = 256;

impl Known {
    #[inline(always)]
    pub fn of(request: &Request) -> Self {
        Known {
            request_id: request.context.request_id.clone(),
            trace: request.context.trace.id(),
            method: Some(request.method.clone()),
            path: Some(Path::new(request.target.path())),
        }
    }

    pub fn of_head(outline: &Outline, request_id: RequestId) -> Self {
        let path = outline.target.as_ref().map(|target| target.path());
        Known {
            request_id,
            trace: trace_heads::read(&outline.headers).map(|parent| parent.trace),
            method: outline.method.clone(),
            path: path.map(Path::new),
        }
    }
}

impl Path {
    #[inline]
    fn new(path: &str) -> Self {
        let length = path.len();
        if length > SHORT {
            return Path::long(path);
        }
        let mut bytes = [0; SHORT];
        bytes[..length].copy_from_slice(path.as_bytes());
        Path::Short {
            length: length as u8,
            bytes,
        }
    }

    #[cold]
    fn long(path: &str) -> Self {
        let end = path.floor_char_boundary(LONGEST);
        if end < path.len() {
            Path::Long(format!("{}…", &path[..end]).into())
        } else {
            Path::Long(path.into())
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Path::Short { length, bytes } => {
                std::str::from_utf8(&bytes[..usize::from(*length)]).unwrap_or_default()
            }
            Path::Long(path) => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_kept_as_far_as_there_is_room() {
        for length in [0, 1, SHORT, SHORT + 1, LONGEST] {
            let path = "p".repeat(length);
            assert_eq!(Path::new(&path).as_str(), path);
        }
        let cut = Path::new(&"ä".repeat(LONGEST));
        assert_eq!(cut.as_str(), format!("{}…", "ä".repeat(LONGEST / 2)));
    }
}
