//! The steps of `request.body` and `response.body`: a file for each kind.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::pointer::Pointer;
use crate::policy::body::document::Draft;
use crate::value::problem::Problems;

mod failure;
mod jmespath;
mod remove;
mod rename;
mod set;
mod template;

pub use failure::Failure;
pub use jmespath::Expression;
pub use template::Template;

/// One change of a JSON document.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The document becomes what the expression finds in it.
    Jmespath(Expression),
    /// Fields get other names, or other places. All at once, so two may swap their names.
    Rename(BTreeMap<Pointer, Pointer>),
    /// Values are put in place of what is there, or added.
    Set(BTreeMap<Pointer, Value>),
    /// Values are taken out, one after the other.
    Remove(Vec<Pointer>),
    /// The document becomes the only field of an object.
    Wrap(String),
    /// The document becomes the JSON that the template makes of it.
    Template(Template),
}

impl Step {
    /// The document behind this step. `limit` is the most bytes that the result may have as text.
    ///
    /// # Errors
    /// Why it could not be taken.
    pub fn apply<'a>(
        &'a self,
        mut document: Draft<'a>,
        limit: usize,
    ) -> Result<Draft<'a>, Failure> {
        match self {
            Step::Jmespath(expression) => expression.search(&document),
            Step::Rename(names) => rename::apply(names, &mut document).map(|()| document),
            Step::Set(values) => set::apply(values, &mut document).map(|()| document),
            Step::Remove(pointers) => {
                remove::apply(pointers, &mut document);
                Ok(document)
            }
            Step::Wrap(name) => Ok(Draft::object(vec![(name.into(), document)])),
            Step::Template(template) => {
                let made = template.render(&document.to_value(), limit)?;
                Ok(made.into())
            }
        }
    }

    /// The key under which it stands in the config.
    pub fn kind(&self) -> &'static str {
        match self {
            Step::Jmespath(_) => "jmespath",
            Step::Rename(_) => "rename",
            Step::Set(_) => "set",
            Step::Remove(_) => "remove",
            Step::Wrap(_) => "wrap",
            Step::Template(_) => "template",
        }
    }
}

/// What reading the steps alone does not find.
pub fn check(steps: &[Step], problems: &mut Problems) {
    for (index, step) in steps.iter().enumerate() {
        let at = index.to_string();
        problems.within(&["body", &at, step.kind()], |problems| match step {
            Step::Rename(names) => rename::check(names, problems),
            Step::Remove(pointers) if pointers.is_empty() => nothing_to_do(problems),
            Step::Set(values) if values.is_empty() => nothing_to_do(problems),
            _ => {}
        });
    }
}

fn nothing_to_do(problems: &mut Problems) {
    problems
        .warning(&[], "this step changes nothing")
        .help("name a field, or take the step out");
}
