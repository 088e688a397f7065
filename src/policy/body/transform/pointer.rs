//! Where a step works: a JSON Pointer (RFC 6901), or for short the name of a top-level field.
//!
//! Not the crate `jsonptr` (0.8): its delete removes a field by `Map::remove`, which with `preserve_order` puts the last
//! field in its place, and its assign makes a list where `0` or `-` stands below nothing, in place of an object.

use super::step::Failure;
use crate::policy::body::document::{Draft, Kind};
use crate::value::Wrong;
use serde::{Deserialize, Serialize};

/// `"/customer/name"`, or `"customer"` for the top-level field of that name. In a pointer `~1` stands for `/` and
/// `~0` for `~`. The document as a whole has no pointer here.
///
/// In order, a value comes before what lies inside of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pointer {
    /// Everything but the last key.
    parents: Vec<String>,
    last: String,
    written: String,
}

impl Pointer {
    /// The key as the config writes it.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    pub fn last(&self) -> &str {
        &self.last
    }

    pub fn parents(&self) -> &[String] {
        &self.parents
    }

    /// The last key as an index of a list.
    pub fn index(&self) -> Option<usize> {
        index(&self.last)
    }

    /// Whether it is a name, without a slash in front.
    pub fn is_name(&self) -> bool {
        !self.written.starts_with('/')
    }

    /// Whether it leads to the same value as `other`, or to one inside of it.
    pub fn is_within(&self, other: &Pointer) -> bool {
        let mut keys = self.parents.iter().chain([&self.last]);
        let mut others = other.parents.iter().chain([&other.last]);
        others.all(|key| keys.next() == Some(key))
    }

    /// Takes the value out; what stood behind it moves up. None when there is nothing.
    pub fn take<'a>(&self, document: &mut Draft<'a>) -> Option<Draft<'a>> {
        // What is not there need not be looked for twice, nor anything be made for it.
        self.find(document)?;
        let parent = self.parent(document)?;
        if parent.kind() == Kind::Object {
            let fields = parent.fields_mut()?;
            let at = fields.iter().position(|(name, _)| *name == self.last)?;
            return Some(fields.remove(at).1);
        }
        let at = index(&self.last)?;
        let items = parent.items_mut()?;
        (at < items.len()).then(|| items.remove(at))
    }

    fn find<'a>(&self, document: &Draft<'a>) -> Option<Draft<'a>> {
        let mut keys = self.parents.iter().chain([&self.last]);
        keys.try_fold(document.clone(), |draft, key| match draft.kind() {
            Kind::Object => draft.get(key),
            _ => draft.items()?.nth(index(key)?),
        })
    }

    /// Puts a value there. Objects that are missing on the way are made, and a `null` on the way counts as missing; in
    /// a list, an index that is there is replaced, and the next one, or `-`, appends.
    ///
    /// # Errors
    /// Something on the way is neither an object nor a list, or a list is too short.
    pub fn put<'a>(&'a self, document: &mut Draft<'a>, value: Draft<'a>) -> Result<(), Failure> {
        let mut at = document;
        for (depth, key) in self.parents.iter().enumerate() {
            at = step_in(at, key).ok_or_else(|| self.unfit(depth))?;
        }
        *step_in(at, &self.last).ok_or_else(|| self.unfit(self.parents.len()))? = value;
        Ok(())
    }

    /// What holds the value, when that is there.
    pub fn parent<'d, 'a>(&self, document: &'d mut Draft<'a>) -> Option<&'d mut Draft<'a>> {
        self.parents
            .iter()
            .try_fold(document, |draft, key| match draft.kind() {
                Kind::Object => {
                    let mut fields = draft.fields_mut()?.iter_mut();
                    let found = fields.find(|(name, _)| name == key);
                    found.map(|(_, value)| value)
                }
                _ => draft.items_mut()?.get_mut(index(key)?),
            })
    }

    fn unfit(&self, depth: usize) -> Failure {
        let place = match &self.parents[..depth] {
            [] => "the document".to_owned(),
            keys => format!("`/{}`", keys.join("/")),
        };
        Failure::new(format!("{place} has no room for `{}`", self.written))
    }
}

/// The place below `draft` under `key`, made if it can be.
fn step_in<'d, 'a>(draft: &'d mut Draft<'a>, key: &'a str) -> Option<&'d mut Draft<'a>> {
    if draft.is_null() {
        *draft = Draft::object(Vec::new());
    }
    if draft.kind() == Kind::Object {
        let fields = draft.fields_mut()?;
        let at = fields.iter().position(|(name, _)| name == key);
        let at = at.unwrap_or_else(|| {
            fields.push((key.into(), Draft::Null));
            fields.len() - 1
        });
        return fields.get_mut(at).map(|(_, value)| value);
    }
    let items = draft.items_mut()?;
    let at = match key {
        "-" => items.len(),
        key => index(key)?,
    };
    if at == items.len() {
        items.push(Draft::Null);
    }
    items.get_mut(at)
}

/// RFC 6901, section 4: digits without a leading zero.
fn index(key: &str) -> Option<usize> {
    let plain = key == "0" || !key.starts_with(['0', '+']);
    plain.then(|| key.parse().ok()).flatten()
}

impl TryFrom<String> for Pointer {
    type Error = Wrong;

    fn try_from(written: String) -> Result<Self, Wrong> {
        let Some(path) = written.strip_prefix('/') else {
            return if written.is_empty() {
                Err(Wrong::new("an empty pointer is the whole document").help("name a field of it"))
            } else {
                Ok(Pointer {
                    last: written.clone(),
                    parents: Vec::new(),
                    written,
                })
            };
        };
        let Some(mut parents) = path.split('/').map(unescape).collect::<Option<Vec<_>>>() else {
            return Err(Wrong::new(format!("`{written}` is not a JSON pointer"))
                .help("`~` is written `~0`, and `/` in a name `~1`"));
        };
        let last = parents.pop().unwrap_or_default();
        Ok(Pointer {
            written,
            parents,
            last,
        })
    }
}

impl From<Pointer> for String {
    fn from(pointer: Pointer) -> String {
        pointer.written
    }
}

/// RFC 6901, section 4.
fn unescape(key: &str) -> Option<String> {
    let mut parts = key.split('~');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (letter, rest) = match (part.strip_prefix('0'), part.strip_prefix('1')) {
            (Some(rest), _) => ('~', rest),
            (_, Some(rest)) => ('/', rest),
            _ => return None,
        };
        plain.push(letter);
        plain.push_str(rest);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn pointer(text: &str) -> Pointer {
        text.to_owned().try_into().unwrap()
    }

    #[test]
    fn values_are_taken_where_the_pointer_leads() {
        let document = json!({ "a": { "b/c": [1, 2, 3] }, "m~n": 4, "": 5 });
        for (text, taken) in [
            ("/a/b~1c/1", Some(json!(2))),
            ("/m~0n", Some(json!(4))),
            ("m~n", Some(json!(4))),
            ("/", Some(json!(5))),
            ("/a/b~1c/3", None),
            ("/a/b~1c/01", None),
            ("/a/b~1c/-", None),
            ("/a/x/y", None),
            ("/m~0n/x", None),
        ] {
            let found = pointer(text).take(&mut document.clone().into());
            assert_eq!(found.map(|found| found.to_value()), taken, "{text}");
        }
    }

    #[test]
    fn values_are_put_and_what_is_missing_is_made() {
        for (text, before, after) in [
            ("a", json!({}), json!({ "a": true })),
            ("/a/b", json!({ "a": null }), json!({ "a": { "b": true } })),
            ("/a/0", json!({ "a": [1] }), json!({ "a": [true] })),
            ("/a/1", json!({ "a": [1] }), json!({ "a": [1, true] })),
            ("/a/-", json!({ "a": [1] }), json!({ "a": [1, true] })),
            (
                "/a/-/b",
                json!({ "a": [] }),
                json!({ "a": [{ "b": true }] }),
            ),
        ] {
            let mut document = before.into();
            let pointer = pointer(text);
            pointer.put(&mut document, Draft::Bool(true)).unwrap();
            assert_eq!(document.to_value(), after, "{text}");
        }
    }

    #[test]
    fn a_value_is_not_put_inside_of_a_scalar() {
        for (text, document, part) in [
            ("/a/b", json!({ "a": 1 }), "`/a` has no room for `/a/b`"),
            ("a", json!("text"), "the document has no room for `a`"),
            ("/a/2", json!({ "a": [1] }), "`/a` has no room"),
        ] {
            let failure = pointer(text)
                .put(&mut document.into(), Draft::Bool(true))
                .unwrap_err();
            assert!(failure.to_string().contains(part), "{text}: {failure}");
        }
    }

    #[test]
    fn problems_are_told() {
        for (text, part) in [("", "whole document"), ("/a~2", "not a JSON pointer")] {
            let error = Pointer::try_from(text.to_owned()).unwrap_err();
            assert!(error.message.contains(part), "{text}: {error}");
        }
    }

    fn key() -> impl Strategy<Value = String> {
        "[a-c~/é]{0,3}"
    }

    fn written(keys: &[String]) -> String {
        keys.iter()
            .map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1")))
            .collect()
    }

    proptest! {
        /// What was put is taken again, and serde_json's own reading of the pointer finds it.
        #[test]
        fn put_and_take_agree(keys in prop::collection::vec(key(), 1..5), number: u32) {
            let text = written(&keys);
            let pointer = pointer(&text);
            let mut document = Draft::from(json!({}));
            pointer.put(&mut document, json!(number).into()).unwrap();
            let with = document.to_value();
            prop_assert_eq!(with.pointer(&text), Some(&json!(number)));
            let taken = pointer.take(&mut document).map(|taken| taken.to_value());
            prop_assert_eq!(taken, Some(json!(number)));
            let without = document.to_value();
            prop_assert_eq!(without.pointer(&text), None);
        }
    }
}
