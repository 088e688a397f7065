//! Preflights: requests in which a browser asks whether a page may send another one (the CORS protocol of the WHATWG's
//! Fetch standard, section 3.2).

use http::{HeaderName, Method, header};

use crate::http::headers::{self, Headers};

/// The method that a preflight announces; None for any other request.
pub fn announced_method(method: &Method, headers: &Headers) -> Option<Method> {
    if method != Method::OPTIONS || !headers.contains(&header::ORIGIN) {
        return None;
    }
    let announced = headers.get(&header::ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(announced).ok()
}

/// Whether a preflight announces that the request will have this header.
pub fn announces_header(headers: &Headers, name: &HeaderName) -> bool {
    headers
        .get_all(&header::ACCESS_CONTROL_REQUEST_HEADERS)
        .any(|line| headers::lists(line, name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    #[test]
    fn a_preflight_announces_a_method_and_headers() {
        let asked = [
            ("origin", "https://app.example"),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "x-a, X-B"),
        ];
        let whole = headers(&asked);
        assert_eq!(
            announced_method(&Method::OPTIONS, &whole),
            Some(Method::PUT)
        );
        assert_eq!(announced_method(&Method::GET, &whole), None);
        for part in [&asked[..1], &asked[1..]] {
            assert_eq!(announced_method(&Method::OPTIONS, &headers(part)), None);
        }
        for (name, announced) in [("x-a", true), ("x-b", true), ("x", false)] {
            let name = HeaderName::from_static(name);
            assert_eq!(announces_header(&whole, &name), announced, "{name}");
        }
    }
}
