//! Messages as they may be shown: what is secret in them is struck out.

use http::HeaderName;

use crate::explain::Field;
use crate::http::headers::Headers;
use crate::value::{REDACTED, names_a_secret};

/// The fields of a message, but for `Host`. `secret` are names that hold secrets here, beside those that do anywhere.
pub fn fields(headers: &Headers, secret: &[HeaderName]) -> Vec<Field> {
    let mut fields = Vec::new();
    for (name, value) in headers.iter() {
        let name = String::from_utf8_lossy(name).into_owned();
        if name.eq_ignore_ascii_case("host") {
            continue;
        }
        let is_secret = names_a_secret(&name)
            || name.eq_ignore_ascii_case("set-cookie")
            || secret.iter().any(|s| name.eq_ignore_ascii_case(s.as_str()));
        let value = if is_secret {
            REDACTED.to_owned()
        } else {
            String::from_utf8_lossy(value).into_owned()
        };
        fields.push(Field { name, value });
    }
    fields
}

/// A query without the values of parameters that are named as secrets are.
pub fn query(query: &str) -> String {
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if names_a_secret(name) => format!("{name}={REDACTED}"),
        _ => pair.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// A target with its query.
pub fn target(path: &str, its_query: Option<&str>) -> String {
    match its_query {
        Some(its_query) => format!("{path}?{}", query(its_query)),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    #[test]
    fn what_is_secret_is_struck_out() {
        let headers = headers(&[
            ("host", "a"),
            ("Authorization", "Bearer hush"),
            ("x-api-key", "hush"),
            ("x-mine", "hush"),
            ("set-cookie", "hush"),
            ("x-plain", "seen"),
        ]);
        let shown = fields(&headers, &[HeaderName::from_static("x-mine")]);
        let values: Vec<&str> = shown.iter().map(|field| field.value.as_str()).collect();
        assert_eq!(values, [REDACTED, REDACTED, REDACTED, REDACTED, "seen"]);
        let shown = target("/a", Some("x=1&access_token=hush&password=hush&y"));
        let expected = format!("/a?x=1&access_token={REDACTED}&password={REDACTED}&y");
        assert_eq!(shown, expected);
    }
}
