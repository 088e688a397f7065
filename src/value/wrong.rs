//! What is wrong with a single value: what a type says that reads itself from the config.

use std::fmt::{self, Display};

/// What is wrong with a value, and how to mend it. Where it stands is added on its way up, see
/// [`Problem`](super::problem::Problem).
///
/// `{}` shows it on one line, `{:#}` with the help on a line of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub message: String,
    pub help: Option<String>,
    /// Only that this machine has not what another one may have: see [`Wrong::absent`].
    pub is_absence: bool,
}

impl Wrong {
    pub fn new(message: impl Into<String>) -> Self {
        Wrong {
            message: message.into(),
            help: None,
            is_absence: false,
        }
    }

    /// That a file, a directory or a variable of the environment is not there. Where the config is to serve may have it.
    pub fn absent(message: impl Into<String>) -> Self {
        Wrong {
            is_absence: true,
            ..Wrong::new(message)
        }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What was wrong, from what came through serde. Its errors are made of anything that can be displayed, and nothing
    /// else is left of a type there; so the two ways to display it tell the message from the help, whatever is in them.
    pub fn displayed(error: &impl Display) -> Self {
        let (line, lines) = (error.to_string(), format!("{error:#}"));
        let both = line.bytes().zip(lines.bytes());
        let same = both.take_while(|(one, other)| one == other).count();
        let split = || {
            let help = line.get(same..)?.strip_prefix(BETWEEN)?;
            (lines.get(same..)?.strip_prefix('\n')? == help)
                .then(|| Wrong::new(&line[..same]).help(help))
        };
        split().unwrap_or_else(|| Wrong::new(line.as_str()))
    }
}

/// Stands before the help on the line of the message.
const BETWEEN: &str = "; ";

impl Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "{}{help}", if f.alternate() { "\n" } else { BETWEEN }),
            None => Ok(()),
        }
    }
}

impl From<String> for Wrong {
    fn from(message: String) -> Self {
        Wrong::new(message)
    }
}

impl From<&str> for Wrong {
    fn from(message: &str) -> Self {
        Wrong::new(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_is_told_from_the_message_whatever_is_in_them() {
        for (message, help) in [
            ("`x` is wrong", Some("write `y`")),
            ("`a; b\nc` is wrong", Some("; write `d; e`\n")),
            ("`; ` is wrong; so is the rest\n", None),
            ("", Some("")),
        ] {
            let wrong = Wrong {
                message: message.to_owned(),
                help: help.map(str::to_owned),
                is_absence: false,
            };
            assert_eq!(Wrong::displayed(&wrong), wrong);
        }
        let plain = Wrong::displayed(&"`x` is wrong; write `y`");
        assert_eq!(plain, Wrong::new("`x` is wrong; write `y`"));
        let wrong = Wrong::new("`x` is wrong").help("write `y`");
        assert_eq!(wrong.to_string(), "`x` is wrong; write `y`");
    }
}
