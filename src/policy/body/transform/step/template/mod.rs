//! `{ template = '{ "name": {{ body.first ~ " " ~ body.last }}, "tags": {{ body.tags }} }' }`
//!
//! The language is Jinja, as `minijinja` has it, without macros and without other templates to include. `body` is the
//! document. Whatever stands in `{{ }}` is written as JSON, with its quotes, so that no value can break out of its
//! place. A field that does not exist is an error unless the template has a default for it:
//! `{{ body.nick | default(none) }}`.

use std::sync::Arc;

use minijinja::value::{Value as Shown, ValueKind};
use minijinja::{Environment, ErrorKind, Output, State, UndefinedBehavior};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use self::numbers::{Digits, Spellings};
use super::Failure;
use crate::policy::body::document::{self, Limited};
use crate::value::Wrong;

mod numbers;

/// A template, compiled.
#[derive(Clone, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    text: String,
    /// It does not compute with numbers.
    only_hands_on: bool,
    environment: Arc<Environment<'static>>,
}

/// For a template that cannot be read.
const HELP: &str =
    "a value is written `{{ body.field }}`, a block `{% for x in body.list %}...{% endfor %}`";

/// Of the document in the template, and of the template itself.
const NAME: &str = "body";

/// Of what only the writing of numbers looks at. No template can name it.
const SPELLINGS: &str = " spellings";

/// Instructions that one rendering may take: some tenths of a second.
const FUEL: u64 = 2_000_000;

impl Template {
    /// The document that the template makes of this one. Its text may have at most `limit` bytes.
    ///
    /// # Errors
    /// What went wrong, with its line; or the text is not JSON.
    pub fn render(&self, document: &Value, limit: usize) -> Result<Value, Failure> {
        let mut out = Limited {
            bytes: Vec::new(),
            limit,
        };
        let (body, spellings) = numbers::shown(document, self.only_hands_on);
        let body = Shown::from_pairs([(NAME, body), (SPELLINGS, spellings)]);
        let template = self.environment.get_template(NAME).map_err(failure)?;
        template
            .render_captured_to(body, &mut out)
            .map(|_| ())
            .map_err(failure)?;
        document::read(&out.bytes)
            .map_err(|why| Failure::new(format!("what it makes is not JSON: {why}")))
    }
}

impl TryFrom<String> for Template {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(64);
        environment.set_formatter(write_json);
        environment
            .add_template_owned(NAME, text.clone())
            .map_err(|why| Wrong::new(format!("not a template: {}", told(&why))).help(HELP))?;
        let unknown = environment.get_template(NAME).ok().and_then(|template| {
            let mut names = template.undeclared_variables(false).into_iter();
            names
                .find(|name| *name != NAME && environment.globals().all(|(known, _)| known != name))
        });
        if let Some(name) = unknown {
            return Err(Wrong::new(format!(
                "there is no `{name}` here: the document is `{NAME}`"
            ))
            .help(format!("write `{{{{ {NAME}.{name} }}}}` for a field of it")));
        }
        Ok(Template {
            only_hands_on: numbers::only_hands_on(&text),
            text,
            environment: Arc::new(environment),
        })
    }
}

impl From<Template> for String {
    fn from(template: Template) -> String {
        template.text
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Template({:?})", self.text)
    }
}

fn failure(why: minijinja::Error) -> Failure {
    Failure::new(told(&why))
}

fn told(why: &minijinja::Error) -> String {
    if why.kind() == ErrorKind::WriteFailure {
        return "what it makes is too large".to_owned();
    }
    let what = match why.detail() {
        Some(detail) => format!("{}: {detail}", why.kind()),
        None => why.kind().to_string(),
    };
    match why.line() {
        Some(line) => format!("{what}, in line {line}"),
        None => what,
    }
}

/// Writes a value as JSON. What the filter `safe` marked is written as it is.
fn write_json(out: &mut Output, state: &mut State, value: &Shown) -> Result<(), minijinja::Error> {
    if value.is_safe() {
        return write(out, value.as_str().unwrap_or_default());
    }
    let spellings = state.lookup(SPELLINGS).unwrap_or_default();
    write_value(out, value, spellings.downcast_object_ref())
}

fn write_value(
    out: &mut Output,
    value: &Shown,
    spellings: Option<&Spellings>,
) -> Result<(), minijinja::Error> {
    match value.kind() {
        ValueKind::None => write(out, "null"),
        ValueKind::Bool => write(out, if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => write_number(out, value, spellings),
        ValueKind::String => write_text(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            write(out, "[")?;
            for (index, item) in value.try_iter()?.enumerate() {
                write(out, if index == 0 { "" } else { "," })?;
                write_value(out, &item, spellings)?;
            }
            write(out, "]")
        }
        ValueKind::Map => {
            write(out, "{")?;
            for (index, key) in value.try_iter()?.enumerate() {
                write(out, if index == 0 { "" } else { "," })?;
                write_text(out, &key.to_string())?;
                write(out, ":")?;
                write_value(out, &value.get_item(&key)?, spellings)?;
            }
            write(out, "}")
        }
        kind => match value.downcast_object_ref::<Digits>() {
            Some(Digits(digits)) => write(out, digits),
            None => Err(minijinja::Error::new(
                ErrorKind::BadSerialization,
                format!("a value of the kind {kind} has no place in JSON"),
            )),
        },
    }
}

fn write_number(
    out: &mut Output,
    value: &Shown,
    spellings: Option<&Spellings>,
) -> Result<(), minijinja::Error> {
    if let Some(spelling) = spellings.and_then(|spellings| spellings.of(value)) {
        return write(out, spelling);
    }
    let text = value.to_string();
    // `inf` and `nan` are numbers there, and not in JSON.
    match text.parse::<Number>() {
        Ok(_) => write(out, &text),
        Err(_) => Err(minijinja::Error::new(
            ErrorKind::BadSerialization,
            format!("`{text}` is no number in JSON"),
        )),
    }
}

fn write_text(out: &mut Output, text: &str) -> Result<(), minijinja::Error> {
    write(out, &serde_json::to_string(text).unwrap_or_default())
}

fn write(out: &mut Output, text: &str) -> Result<(), minijinja::Error> {
    Ok(out.write_str(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str, document: &str) -> Result<String, String> {
        let template = Template::try_from(template.to_owned()).map_err(|why| why.to_string())?;
        let document = document::read(document.as_bytes())?;
        template
            .render(&document, 1 << 16)
            .map(|made| made.to_string())
            .map_err(|why| why.to_string())
    }

    #[test]
    fn values_are_written_as_json() {
        for (template, document, made) in [
            (
                "{{ body }}",
                r#"{"b":[1,"\"x\"",null,true],"a":{}}"#,
                r#"{"b":[1,"\"x\"",null,true],"a":{}}"#,
            ),
            (
                r#"{"n": {{ body.a ~ " " ~ body.b }}}"#,
                r#"{"a":"A\"","b":"B"}"#,
                r#"{"n":"A\" B"}"#,
            ),
            (
                "{{ body.a }}",
                r#"{"a":123456789012345678901234567890}"#,
                "123456789012345678901234567890",
            ),
            (
                "{{ body.a }}",
                r#"{"a":0.12345678901234567890}"#,
                "0.12345678901234567890",
            ),
            (
                "[{% for x in body %}{{ x.id * 2 }}{{ ',' | safe if not loop.last else '' | safe }}{% endfor %}]",
                r#"[{"id":1},{"id":2}]"#,
                "[2,4]",
            ),
            (
                "[{{ body.a }},{{ body.b }},{{ body.c }},{{ body.d }}]",
                r#"{"a":1e-400,"b":-0,"c":1.10,"d":1E5}"#,
                "[1e-400,-0,1.10,1e+5]",
            ),
            ("{{ body }}", "[1.50,[0.0],0]", "[1.50,[0.0],0]"),
            ("{{ body }}", "[1.1,1.10,0.0,0]", "[1.1,1.10,0.0,0]"),
            ("{{ body.a * 2 }}", r#"{"a":1.10}"#, "2.2"),
            (r#"{{ body.a ~ " EUR" }}"#, r#"{"a":1.10}"#, r#""1.10 EUR""#),
            ("{{ body.a > 1.05 }}", r#"{"a":1.10}"#, "true"),
            ("{{ body.x | default(none) }}", "{}", "null"),
            ("{{ body | length }}", r#"{"a":1,"b":2}"#, "2"),
            ("{{ body.html }}", r#"{"html":"<b>&</b>"}"#, r#""<b>&</b>""#),
            ("{{ body.items }}", r#"{"items":[1]}"#, "[1]"),
            ("{{ body.a / 4 }}", r#"{"a":1}"#, "0.25"),
        ] {
            assert_eq!(
                render(template, document).as_deref(),
                Ok(made),
                "{template}"
            );
        }
    }

    #[test]
    fn what_fails_says_why() {
        for (template, document, part) in [
            ("{{ body.x }}", "{}", "undefined value"),
            ("{{ body.x.y }}", "{}", "undefined value"),
            ("[\n{{ body.a + 1 }}]", r#"{"a":"x"}"#, "in line 2"),
            ("plain text", "{}", "what it makes is not JSON"),
            (
                "\"{{ body.a }}\"",
                r#"{"a":"x"}"#,
                "what it makes is not JSON",
            ),
            ("{{ body.a / 0 }}", r#"{"a":1}"#, ""),
            (
                "{% for a in range(50000) %}{{ body.s }}{% endfor %}",
                r#"{"s":"0123456789"}"#,
                "too large",
            ),
            (
                "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
                "1",
                "fuel",
            ),
        ] {
            let error = render(template, document).unwrap_err();
            assert!(error.to_string().contains(part), "{template}: {error}");
        }
    }

    #[test]
    fn problems_are_found_at_load() {
        for (template, part) in [
            ("{{ body", "not a template"),
            ("[\n{% for x in y %}]", "line 2"),
            ("{% include 'x' %}", "not a template"),
            ("{{ data.x }}", "no `data`"),
        ] {
            let error = Template::try_from(template.to_owned()).unwrap_err();
            assert!(error.to_string().contains(part), "{template}: {error}");
        }
    }
}
