//! Which answers have no body, whatever their headers say, and which have no content.

use http::StatusCode;

/// Whether an answer ends with its head: by its status, or because it answers a HEAD (RFC 9112, section 6.3). A tunnel
/// that a CONNECT has opened has no body either, see [`super::tunnel`].
#[inline]
pub fn ends_with_head(to_head: bool, status: StatusCode) -> bool {
    to_head || matches!(status.as_u16(), 100..=199 | 204 | 304)
}

/// Whether `Content-Length` may stand in an answer of this status (RFC 9110, section 8.6). That of a 304, as of an answer
/// to HEAD, is about a body that is not sent.
#[inline]
pub fn may_tell_length(status: StatusCode) -> bool {
    !matches!(status.as_u16(), 100..=199 | 204)
}

/// Whether there is never anything in an answer of this status. A 205 has no content (RFC 9110, section 15.3.6), but is
/// framed as others are: its body is of no bytes.
pub fn has_no_content(status: StatusCode) -> bool {
    status == StatusCode::RESET_CONTENT || ends_with_head(false, status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(question: impl Fn(StatusCode) -> bool) -> Vec<u16> {
        let statuses = (100..=999).filter_map(|code| StatusCode::from_u16(code).ok());
        let mut found: Vec<u16> = statuses
            .filter(|s| question(*s))
            .map(|s| s.as_u16())
            .collect();
        let interim = found.iter().filter(|code| **code < 200).count();
        assert!(
            [0, 100].contains(&interim),
            "one interim answer is as the other"
        );
        found.retain(|code| *code == 100 || *code >= 200);
        found
    }

    #[test]
    fn some_answers_end_with_their_head() {
        assert_eq!(all(|status| ends_with_head(false, status)), [100, 204, 304]);
        assert!(ends_with_head(true, StatusCode::OK));
    }

    #[test]
    fn a_status_without_a_body_has_no_length_but_304() {
        assert_eq!(all(|status| !may_tell_length(status)), [100, 204]);
    }

    #[test]
    fn an_answer_without_content_may_have_a_body_of_no_bytes() {
        assert_eq!(all(has_no_content), [100, 204, 205, 304]);
    }
}
