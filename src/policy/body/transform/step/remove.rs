//! `{ remove = ["/customer/password"] }`

use serde_json::Value;

use crate::policy::body::transform::pointer::Pointer;

/// What is not there need not be removed. Indexes of a list count in what earlier ones left of it.
pub fn apply(pointers: &[Pointer], document: &mut Value) {
    for pointer in pointers {
        pointer.take(document);
    }
}
