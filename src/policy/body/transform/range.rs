//! A request for a part of what the route may change: `Range` (RFC 9110, section 14).

use http::{Method, StatusCode, header};

use super::representation::{essence, is_json};
use crate::http::message::{Request, Response};

/// Part of a document cannot be changed, and nobody knows before the answer whether there is one. So the range is asked
/// for as the caller wants it; when a part of a document comes, all of it is asked for in its place.
pub(super) struct Whole(Box<Request>);

impl Whole {
    /// The request without its range, if it has one that counts: only `GET` has (section 14.2). Elsewhere the range is
    /// taken out, as it is where every answer is to be changed.
    pub fn instead(request: &mut Request, every_answer: bool) -> Option<Self> {
        if !request.headers.contains(&header::RANGE) {
            return None;
        }
        if every_answer || request.method != Method::GET || !request.body.is_empty() {
            forget_range(request);
            return None;
        }
        let mut whole = request.without_body();
        forget_range(&mut whole);
        Some(Whole(whole))
    }

    pub fn into_request(self) -> Box<Request> {
        self.0
    }
}

fn forget_range(request: &mut Request) {
    request.headers.remove(&header::RANGE);
    request.headers.remove(&header::IF_RANGE);
}

/// Whether an answer is part of something that may be JSON. Several parts have types of their own, and what answers
/// `If-Range` may leave the type out (section 15.3.7): taken for something else, either would show a caller what a step
/// removes.
pub(super) fn is_part_of_document(response: &Response) -> bool {
    if response.status != StatusCode::PARTIAL_CONTENT {
        return false;
    }
    match response.headers.get(&header::CONTENT_TYPE) {
        None => true,
        Some(kind) => is_json(&response.headers) || essence(kind) == "multipart/byteranges",
    }
}
