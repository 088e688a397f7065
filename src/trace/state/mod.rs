//! The head `tracestate`: what the systems that trace say to each other (W3C Trace Context, section 3.3).
//!
//! A list that is valid goes on byte for byte; one that is not has to be dropped as a whole, as nobody knows what it meant.

#[cfg(test)]
mod tests;

/// The most members of a list (section 3.3.1.1).
const MEMBERS: usize = 32;
/// The longest that a key or a value may be, in bytes (section 3.3.1.3).
const LONGEST: usize = 256;

/// Whether the values of all `tracestate` heads, in their order, are one valid list (section 3.3.1).
pub fn is_state<'a>(values: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut members = 0;
    for member in values.flat_map(|value| value.split(|&byte| byte == b',')) {
        let member = trim(member);
        // One may be empty, and counts for nothing.
        if member.is_empty() {
            continue;
        }
        members += 1;
        if members > MEMBERS || !is_member(member) {
            return false;
        }
    }
    members > 0
}

fn is_member(member: &[u8]) -> bool {
    let Some(equals) = member.iter().position(|&byte| byte == b'=') else {
        return false;
    };
    is_key(&member[..equals]) && is_text(&member[equals + 1..])
}

/// A key as level 2 has it, which those of level 1 are as well.
fn is_key(key: &[u8]) -> bool {
    let begins = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let goes_on = |byte: &u8| begins(byte) || b"_-*/@".contains(byte);
    key.len() <= LONGEST && key.first().is_some_and(begins) && key.iter().all(goes_on)
}

/// Spaces behind it were taken for those of the list.
fn is_text(value: &[u8]) -> bool {
    let is_fit = |byte: &u8| matches!(byte, b' '..=b'~') && !b",=".contains(byte);
    (1..=LONGEST).contains(&value.len()) && value.iter().all(is_fit)
}

/// Without the optional white space around it (RFC 9110, section 5.6.3).
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
