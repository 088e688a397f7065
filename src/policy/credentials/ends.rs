//! What stands unseen at the ends of a name.

use crate::value::problem::Problems;
use crate::value::unpadded;

/// Refuses a name with what nobody sees at an end: it came with copying, and the server knows another one.
pub(super) fn check(name: &str, place: &[&str], problems: &mut Problems) {
    if unpadded(name).len() != name.len() {
        problems
            .error(
                place,
                "this name begins or ends with a blank or an invisible character",
            )
            .help("remove it");
    }
}
