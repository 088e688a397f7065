//! Source lines are shown where they are wrong; a secret written in them is not.
//!
//! Three nets, for a line is shown just because something about it is not as it should be. What was parsed is followed
//! by its keys: below `credentials` every value counts as a secret, and so it does under a key that sounds like one,
//! misspelled or not, and a comment beside it, where the last one often stands. The text is searched for what looks like
//! a secret, comments included. And whatever is read as a secret is struck out where it stands ([`below`]).

use std::ops::Range;

mod by_key;
mod by_look;
#[cfg(test)]
mod tests;

pub(super) use by_key::below;

/// The same text, byte for byte as long, with the values of secrets struck out.
pub(super) fn redact(text: &str) -> String {
    let mut shown = text.to_owned();
    let spans = by_look::behind_keys(text).chain(by_key::find(text));
    for span in spans.chain(by_look::anywhere(text)) {
        strike_out(&mut shown, span);
    }
    shown
}

/// A sentence without the users and passwords of URLs and the private keys that it repeats.
pub(super) fn sentence(text: String) -> String {
    let mut shown = text;
    for secret in by_look::anywhere(&shown).collect::<Vec<_>>() {
        strike_out(&mut shown, secret);
    }
    shown
}

/// Strikes out what stands at `span`.
pub(super) fn strike_out(shown: &mut String, span: Range<usize>) {
    if let Some(secret) = shown.get(span.clone()) {
        let struck = secret.chars().flat_map(|c| match c {
            '"' | '\'' | '\r' | '\n' => std::iter::repeat_n(c, 1),
            c => std::iter::repeat_n('*', c.len_utf8()),
        });
        let struck: String = struck.collect();
        shown.replace_range(span, &struck);
    }
}
