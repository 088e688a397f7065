//! The text of an answer made here, with its variables.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::variables::{self, Part, Place, Values};
use crate::value::Wrong;

/// Text with `${path.NAME}`, `${request_id}`, `${client.ip}`, `${client.identity}`, `${route}` and `${upstream}`; `$${`
/// stands for a plain `${`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct BodyTemplate {
    text: String,
    parts: Vec<Part>,
}

impl BodyTemplate {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the path's captures that it uses.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        super::captures(&self.parts)
    }

    /// The body, when it is the same for every request.
    pub fn constant(&self) -> Option<Bytes> {
        match &self.parts[..] {
            [] => Some(Bytes::new()),
            [Part::Literal(only)] => Some(only.clone().into()),
            _ => None,
        }
    }

    pub fn render(&self, request: &impl Values) -> Bytes {
        let mut text = Vec::with_capacity(self.text.len() + 32);
        for part in &self.parts {
            part.render(request, &mut text);
        }
        text.into()
    }
}

impl TryFrom<String> for BodyTemplate {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        let parts = variables::parse(&text, Place::Body)?;
        Ok(BodyTemplate { text, parts })
    }
}

impl From<BodyTemplate> for String {
    fn from(template: BodyTemplate) -> String {
        template.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::request;

    #[test]
    fn a_body_may_name_parts_of_the_path_and_nothing_that_a_caller_says() {
        let template = |text: &str| BodyTemplate::try_from(text.to_owned());
        let mut request = request("GET", "/v1/a");
        request.context.captures.push("rest".into(), "a");
        let moved = template("{\"new\": \"/v2/${path.rest}\"}\n$${x}").unwrap();
        assert_eq!(moved.render(&*request), "{\"new\": \"/v2/a\"}\n${x}");
        assert_eq!(moved.captures().collect::<Vec<_>>(), ["rest"]);
        assert!(moved.constant().is_none());
        assert_eq!(template("a {b}\n").unwrap().constant().unwrap(), "a {b}\n");
        for (text, part) in [
            ("${header.x}", "has no place in a body"),
            ("${jwt.sub}", "has no place in a body"),
            ("${query}", "unknown variable"),
            ("${x", "not closed"),
        ] {
            let error = template(text).unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
