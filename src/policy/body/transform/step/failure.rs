//! Why a step could not be taken.

use std::borrow::Cow;
use std::fmt;

/// It may be shown to the caller.
#[derive(Debug, PartialEq)]
pub struct Failure(Cow<'static, str>);

impl Failure {
    pub fn new(why: impl Into<Cow<'static, str>>) -> Self {
        Failure(why.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
