//! Text of the config with values of a row in it.

use serde::{Deserialize, Serialize};

use super::row::Row;
use super::{Identifier, row};
use crate::value::Wrong;

/// Text with `${row.COLUMN}`, which stands for the value of that column as text; `$${` stands for a plain `${`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct RowTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Literal(String),
    Column(Identifier),
}

impl RowTemplate {
    /// The columns that it uses.
    pub fn columns(&self) -> impl Iterator<Item = &Identifier> {
        self.parts.iter().filter_map(|part| match part {
            Part::Column(name) => Some(name),
            Part::Literal(_) => None,
        })
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text for `row`.
    ///
    /// # Errors
    /// The column that is null there.
    pub fn fill<'a>(&'a self, row: &Row) -> Result<String, row::IsNull<'a>> {
        let mut text = String::with_capacity(self.text.len() + 32);
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Column(name) => text.push_str(row.value(name).ok_or(row::IsNull(name))?),
            }
        }
        Ok(text)
    }
}

impl TryFrom<String> for RowTemplate {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = &*text;
        while let Some(at) = rest.find('$') {
            literal.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("$${") {
                literal.push_str("${");
                rest = after;
            } else if let Some(after) = rest.strip_prefix("${") {
                let closed = after.split_once('}');
                let (variable, after) = closed.ok_or_else(|| {
                    Wrong::new(format!("a `{{` is not closed in `{}`", text.escape_debug()))
                })?;
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(column(variable)?);
                rest = after;
            } else {
                literal.push('$');
                rest = &rest[1..];
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(RowTemplate { text, parts })
    }
}

fn column(variable: &str) -> Result<Part, Wrong> {
    let Some(name) = variable.strip_prefix("row.") else {
        return Err(
            Wrong::new(format!("unknown variable `${{{variable}}}`")).help(
                "there is `${row.COLUMN}` for the value of a column, and `$${` is a plain `${`",
            ),
        );
    };
    Ok(Part::Column(name.parse()?))
}

impl From<RowTemplate> for String {
    fn from(template: RowTemplate) -> String {
        template.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::fake::row_with;

    fn template(text: &str) -> Result<RowTemplate, Wrong> {
        RowTemplate::try_from(text.to_owned())
    }

    #[test]
    fn columns_stand_for_their_values() {
        let row = row_with("1", &[("kind", Some("made")), ("tenant", None)]);
        for (text, filled) in [
            ("", ""),
            ("order.${row.kind}", "order.made"),
            ("${row.kind}${row.kind}", "mademade"),
            ("$${row.kind} $5 $", "${row.kind} $5 $"),
        ] {
            assert_eq!(
                template(text).unwrap().fill(&row).unwrap(),
                filled,
                "{text}"
            );
        }
        let null = template("a.${row.tenant}").unwrap();
        assert_eq!(null.fill(&row).unwrap_err().0.as_str(), "tenant");
        assert_eq!(null.columns().count(), 1);
    }

    #[test]
    fn what_is_no_column_is_told() {
        for (text, part) in [
            ("${path.id}", "unknown variable `${path.id}`"),
            ("${row}", "unknown variable"),
            ("${row.}", "not a name"),
            ("${row.a b}", "not a name"),
            ("${row.a", "not closed"),
        ] {
            let wrong = template(text).unwrap_err().to_string();
            assert!(wrong.contains(part), "{text}: {wrong}");
        }
    }
}
