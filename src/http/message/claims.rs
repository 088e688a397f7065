//! What a verified token says of the caller.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// The claims of a token (RFC 7519, section 4) whose signature and validity were verified.
#[derive(Debug, Default, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    pub fn new(claims: Map<String, Value>) -> Self {
        Claims(claims)
    }

    /// A claim by its name; failing that, `a.b` is the member `b` of the claim `a`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        find(&self.0, name)
    }

    /// A claim as text for a header or a key: text as it is, numbers and booleans as JSON has them, a list with
    /// commas between its members. None for all else, and for a list in which a comma would mislead.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        match self.get(name)? {
            Value::Array(members) => {
                let members: Option<Vec<_>> = members
                    .iter()
                    .map(|member| scalar(member).filter(|text| !text.contains(',')))
                    .collect();
                Some(members?.join(",").into())
            }
            value => scalar(value),
        }
    }
}

fn find<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| {
        let (outer, inner) = name.split_once('.')?;
        find(object.get(outer)?.as_object()?, inner)
    })
}

fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string().into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_found_by_name_and_within_others() {
        let claims: Map<String, Value> = serde_json::from_str(
            r#"{ "sub": "ann", "n": 7, "ok": true, "https://x.example/role": "admin",
                 "realm": { "roles": ["a", "b"], "owner": { "id": "o" } }, "odd": ["a,b"], "none": null }"#,
        )
        .unwrap();
        let claims = Claims::new(claims);
        for (name, expected) in [
            ("sub", Some("ann")),
            ("n", Some("7")),
            ("ok", Some("true")),
            ("https://x.example/role", Some("admin")),
            ("realm.roles", Some("a,b")),
            ("realm.owner.id", Some("o")),
            ("realm", None),
            ("odd", None),
            ("none", None),
            ("other", None),
        ] {
            assert_eq!(claims.text(name).as_deref(), expected, "{name}");
        }
    }
}
