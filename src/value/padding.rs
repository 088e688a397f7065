//! Characters at the ends of a text that nobody sees, and that belong to none.

/// The text without blanks and invisible characters at its ends.
pub fn unpadded(text: &str) -> &str {
    text.trim_matches(is_padding)
}

/// Line breaks and other controls are no padding: whoever reads the text refuses them.
pub fn is_padding(c: char) -> bool {
    c == '\t' || c.is_whitespace() && !c.is_control() || is_invisible(c)
}

/// A byte order mark, a zero-width space and its like.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{feff}' | '\u{200b}'..='\u{200d}' | '\u{2060}')
}
