//! A content type without its parameters (RFC 9110, section 8.3.1).

/// The type without its parameters, in lower case.
pub fn of(content_type: &[u8]) -> String {
    let kind = content_type.split(|byte| *byte == b';').next();
    let kind = kind.unwrap_or_default().trim_ascii();
    String::from_utf8_lossy(kind).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_case_do_not_count() {
        assert_eq!(of(b"Text/HTML ; charset=utf-8"), "text/html");
        assert_eq!(of(b""), "");
    }
}
