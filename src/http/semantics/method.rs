//! What methods promise.

use http::Method;

/// Whether doing it twice is as good as doing it once (RFC 9110, section 9.2.2).
#[inline]
pub fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

/// The methods of RFC 9110 for which this holds.
pub fn idempotent() -> impl Iterator<Item = Method> {
    const ALL: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::TRACE,
        Method::PUT,
        Method::DELETE,
        Method::POST,
        Method::PATCH,
        Method::CONNECT,
    ];
    ALL.into_iter().filter(is_idempotent)
}

/// Whether a request of this method usually has content: one that has none says so (RFC 9110, section 8.6).
#[inline]
pub fn usually_has_content(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_nothing_more_the_second_time_is_idempotent() {
        let names: Vec<String> = idempotent().map(|method| method.to_string()).collect();
        assert_eq!(names, ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);
        assert!(!is_idempotent(&Method::from_bytes(b"PROPFIND").unwrap()));
    }

    #[test]
    fn some_methods_usually_have_content() {
        assert!(
            [Method::POST, Method::PUT, Method::PATCH]
                .iter()
                .all(usually_has_content)
        );
        assert!(!usually_has_content(&Method::DELETE));
    }
}
