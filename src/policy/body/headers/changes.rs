//! What `set_headers`, `add_headers` and `remove_headers` of one message say, and what may be wrong with it.

use std::collections::{BTreeMap, HashMap};

use http::HeaderName;

use crate::policy::table::Summary;
use crate::value::FieldName;
use crate::value::problem::Problems;
use crate::value::template::HeaderTemplate;

#[derive(Default)]
pub struct Changes {
    pub set: BTreeMap<FieldName, HeaderTemplate>,
    pub add: BTreeMap<FieldName, HeaderTemplate>,
    pub remove: Vec<FieldName>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }

    pub fn check(&self, problems: &mut Problems) {
        for (place, name) in self.names().filter(|(_, name)| name.is_framing()) {
            problems
                .error(
                    &[place[0].as_str(), place[1].as_str()],
                    format!(
                        "`{}` describes the connection, and is written by the protocol",
                        name.as_str()
                    ),
                )
                .help("remove it: these headers are never forwarded as they come");
        }
        for (key, templates) in [("set_headers", &self.set), ("add_headers", &self.add)] {
            for (name, value) in templates {
                value.check(&[key, name.as_str()], problems);
            }
        }
        let mut first: HashMap<&HeaderName, &FieldName> = HashMap::new();
        for name in self.set.keys() {
            if let Some(first) = first.insert(name.name(), name) {
                problems
                    .error(
                        &["set_headers", name.as_str()],
                        format!("`{}` is set already", name.as_str()),
                    )
                    .help("keep one of them: names of headers are the same in any case")
                    .related(&["set_headers", first.as_str()], "first set here");
            }
        }
    }

    /// What other rooms have to know of the values in the block under `key`.
    pub fn tell(self, key: &str, summary: &mut Summary) {
        for (list, templates) in [("set_headers", self.set), ("add_headers", self.add)] {
            for (name, value) in templates {
                summary.names_upstream |= value.names_upstream();
                let place = [key.to_owned(), list.to_owned(), String::from(name)];
                summary.values.push((place, value));
            }
        }
    }

    /// Every name with its place in the block.
    pub fn names(&self) -> impl Iterator<Item = ([String; 2], &FieldName)> {
        let of = |key: &'static str, at: &str| [key.to_owned(), at.to_owned()];
        let set = self
            .set
            .keys()
            .map(move |name| (of("set_headers", name.as_str()), name));
        let add = self
            .add
            .keys()
            .map(move |name| (of("add_headers", name.as_str()), name));
        let remove = self
            .remove
            .iter()
            .enumerate()
            .map(move |(index, name)| (of("remove_headers", &index.to_string()), name));
        set.chain(add).chain(remove)
    }
}
