//! Why a connection ends early.

use std::fmt;
use std::io;

use super::frame::Code;

#[derive(Debug)]
pub enum Ended {
    Io(io::Error),
    Broken(Broken),
}

/// The peer broke the rules, and is told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken(pub Code, pub &'static str);

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Ended::Io(error)
    }
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        Ended::Broken(broken)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Io(error) => error.fmt(f),
            Ended::Broken(Broken(_, why)) => f.write_str(why),
        }
    }
}

impl std::error::Error for Ended {}
