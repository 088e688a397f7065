//! Numbers of a document in a template: they can be computed with, and those that are only handed on keep their digits.

use std::collections::HashMap;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Value as Shown};
use serde_json::{Number, Value};

/// Whether a template does nothing with a value but write it: then each number can be its digits alone. Of what it
/// cannot be sure, this says no.
pub fn only_hands_on(template: &str) -> bool {
    let mut rest = template;
    while let Some(at) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let (is_statement, behind) = (rest[at..].starts_with("{%"), &rest[at + 2..]);
        let end = if is_statement { "%}" } else { "}}" };
        let Some((inside, after)) = behind.split_once(end) else {
            return false;
        };
        let inside = inside.trim_matches('-').trim();
        let word = inside.split(' ').next().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || " _.[]\"'~,".contains(c);
        if !inside.chars().all(plain) || is_statement && !["for", "endfor"].contains(&word) {
            return false;
        }
        let mut words = inside.split([' ', '.', '[', ']']);
        if words.any(|word| ["if", "else", "and", "or", "not", "is"].contains(&word)) {
            return false;
        }
        rest = after;
    }
    true
}

/// The document as templates see it, and how its numbers were written.
pub fn shown(document: &Value, only_written: bool) -> (Shown, Shown) {
    let mut spellings = Spellings {
        only_written,
        ..Spellings::default()
    };
    let document = spellings.shown(document);
    (document, Shown::from_object(spellings))
}

/// How the document writes what is a 64-bit floating point number to a template, by its bits.
///
/// Of two spellings of one number in a document, `1.1` and `1.10`, the first one counts for both, unless the template
/// only writes what it is given.
#[derive(Debug, Default)]
pub struct Spellings {
    only_written: bool,
    found: HashMap<u64, String>,
}

impl Spellings {
    /// How `value` was written, if the document has it.
    pub fn of(&self, value: &Shown) -> Option<&str> {
        if self.found.is_empty() || value.is_integer() {
            return None;
        }
        let number = f64::try_from(value.clone()).ok()?;
        self.found.get(&number.to_bits()).map(String::as_str)
    }

    fn shown(&mut self, value: &Value) -> Shown {
        match value {
            Value::Null => Shown::from(()),
            Value::Bool(value) => Shown::from(*value),
            Value::Number(number) => self.shown_number(number),
            Value::String(text) => Shown::from(text.as_str()),
            Value::Array(items) => {
                let items: Vec<Shown> = items.iter().map(|item| self.shown(item)).collect();
                Shown::from_object(items)
            }
            Value::Object(fields) => {
                let fields = fields.iter();
                Shown::from_pairs(fields.map(|(name, value)| (name.as_str(), self.shown(value))))
            }
        }
    }

    fn shown_number(&mut self, number: &Number) -> Shown {
        let text = number.as_str();
        // Minus zero is no integer.
        let is_whole = text != "-0";
        match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) if is_whole => Shown::from(number),
            (_, Some(number), _) => Shown::from(number),
            (.., Some(number)) if !self.only_written && is_exact(text, number) => {
                let spelling = self.found.entry(number.to_bits());
                spelling.or_insert_with(|| text.to_owned());
                Shown::from(number)
            }
            _ => Shown::from_object(Digits(text.to_owned())),
        }
    }
}

/// A binary number gives back up to 15 decimal digits, unless it is too small to be told from zero.
fn is_exact(text: &str, number: f64) -> bool {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let is_zero = mantissa.bytes().all(|byte| !(b'1'..=b'9').contains(&byte));
    digits <= 15 && (number != 0.0 || is_zero)
}

impl Object for Spellings {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// A number that no type of the template language holds. It can be written, and not computed with.
#[derive(Debug)]
pub struct Digits(pub String);

impl Object for Digits {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_only_hands_on_is_told_from_one_that_computes() {
        for template in [
            "plain",
            "{{ body }}",
            r#"{"a": {{- body.a["b"][0] -}} }"#,
            "[{% for x in body.list %}{{ x.price }}{% endfor %}]",
            "{{ body.a ~ ' ' ~ body.b }}",
        ] {
            assert!(only_hands_on(template), "{template}");
        }
        for template in [
            "{{ body.a * 2 }}",
            "{{ body.a | default(0) }}",
            "{{ body.a is none }}",
            "{{ 1 if body.a else 2 }}",
            "{% if body.a %}1{% endif %}",
            "{% set x = body.a %}{{ x }}",
            "{{ body.a == 1.1 }}",
            "{{ body",
        ] {
            assert!(!only_hands_on(template), "{template}");
        }
    }
}
