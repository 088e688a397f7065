//! `{ set = { "/customer/tier" = "gold" } }`

use std::collections::BTreeMap;

use serde_json::Value;

use super::Failure;
use crate::policy::body::document::Draft;
use crate::policy::body::transform::pointer::Pointer;

/// Parents come before what is set inside of them, whatever their order in the file.
pub fn apply<'a>(
    values: &'a BTreeMap<Pointer, Value>,
    document: &mut Draft<'a>,
) -> Result<(), Failure> {
    values
        .iter()
        .try_for_each(|(pointer, value)| pointer.put(document, Draft::Given(value)))
}
