//! What is done with one body, once it is here: everything that takes the processor's time, and nothing that waits.

use super::content::Content;
use super::refusal::Refused;
use super::step::Step;
use crate::http::envelope::Facts;
use crate::policy::body::document::{self, Document, Draft, Node};
use crate::policy::body::validate::{Schema, Values};

/// The changes of one direction.
pub struct Work {
    pub schema: Option<Schema>,
    pub steps: Vec<Step>,
    /// Bytes that a body may have, after decompression.
    pub max_body: usize,
    pub values: Values,
}

/// A body, and what is known of it.
pub struct Given {
    pub content: Content,
    pub is_json: bool,
    /// Whether an empty one is refused.
    pub needed: bool,
    /// Whether the schema applies.
    pub judged: bool,
    /// Whether the steps apply.
    pub changed: bool,
    /// For the envelope around it.
    pub facts: Option<Facts>,
}

/// How many times as large as the limit of a body its changed form may be.
const ROOM_TO_GROW: usize = 4;

impl Work {
    /// The new content, or None for a body that stays as it came, encoding and all.
    ///
    /// # Errors
    /// Why the body cannot be changed.
    pub fn run(&self, given: Given) -> Result<Option<Vec<u8>>, Refused> {
        let Given {
            content,
            is_json,
            needed,
            judged,
            changed,
            facts,
        } = given;
        let limit = self.max_body.saturating_mul(ROOM_TO_GROW);
        let body = content.decode(self.max_body)?;
        let is_empty = document::is_empty(&body);
        if needed && is_empty {
            return Err(Refused::NotJson("it is empty".to_owned()));
        }
        let document = (is_json && !is_empty).then(|| Document::scan(&body));
        let draft = match (&document, &facts) {
            (Some(Ok(document)), _) => {
                if judged {
                    self.validate(document.root())?;
                }
                let draft = Draft::Node(document.root());
                if changed {
                    self.apply(draft, limit)?
                } else {
                    draft
                }
            }
            // Only its envelope needs it.
            (Some(Err(_)), Some(facts)) if !judged && !changed => facts.text(&body).into(),
            (Some(Err(why)), _) => return Err(Refused::NotJson(why.clone())),
            (None, Some(_)) if is_json => Draft::Null,
            (None, Some(facts)) => facts.data(&body).into(),
            (None, None) => return Ok(None),
        };
        let draft = match facts {
            Some(facts) => facts.around(draft.to_value()).into(),
            None if !changed || self.steps.is_empty() => return Ok(None),
            None => draft,
        };
        let written = match &document {
            Some(Ok(document)) => document.write(&draft, limit),
            _ => draft.write(limit),
        };
        written.map(Some).map_err(|_| Refused::Outgrown)
    }

    fn validate(&self, document: Node<'_>) -> Result<(), Refused> {
        match &self.schema {
            Some(schema) => schema.check(document, self.values),
            None => Ok(()),
        }
        .map_err(Refused::Unfit)
    }

    fn apply<'a>(&'a self, document: Draft<'a>, limit: usize) -> Result<Draft<'a>, Refused> {
        let mut steps = self.steps.iter().enumerate();
        steps.try_fold(document, |document, (index, step)| {
            step.apply(document, limit).map_err(|why| Refused::Step {
                number: index + 1,
                kind: step.kind(),
                why,
            })
        })
    }
}
