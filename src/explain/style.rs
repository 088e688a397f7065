//! Colours for a terminal, or none.

/// How words are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    /// By escape sequences (ECMA-48, section 8.3.117).
    Coloured,
}

impl Style {
    pub(super) fn bold(self, text: &str) -> String {
        self.mark("1", text)
    }

    pub(super) fn faint(self, text: &str) -> String {
        self.mark("2", text)
    }

    pub(super) fn good(self, text: &str) -> String {
        self.mark("1;32", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.mark("1;31", text)
    }

    fn mark(self, code: &str, text: &str) -> String {
        match self {
            Style::Plain => text.to_owned(),
            Style::Coloured => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}
