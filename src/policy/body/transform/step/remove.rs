//! `{ remove = ["/customer/password"] }`

use crate::policy::body::document::Draft;
use crate::policy::body::transform::pointer::Pointer;

/// What is not there need not be removed. Indexes of a list count in what earlier ones left of it.
pub fn apply(pointers: &[Pointer], document: &mut Draft<'_>) {
    for pointer in pointers {
        pointer.take(document);
    }
}
