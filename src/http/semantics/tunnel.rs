//! When bytes of no HTTP follow an answer.

use http::{Method, StatusCode};

/// Whether the answer to CONNECT opens the tunnel (RFC 9110, section 9.3.6). It has no body, whatever its headers say.
#[inline]
pub fn is_opened(method: &Method, status: StatusCode) -> bool {
    *method == Method::CONNECT && status.is_success()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_opens_what_connect_asks_for() {
        assert!(is_opened(&Method::CONNECT, StatusCode::OK));
        assert!(is_opened(&Method::CONNECT, StatusCode::NO_CONTENT));
        assert!(!is_opened(&Method::CONNECT, StatusCode::BAD_GATEWAY));
        assert!(!is_opened(&Method::GET, StatusCode::OK));
    }
}
