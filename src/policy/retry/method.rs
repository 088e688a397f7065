//! A method, as `methods` names it.

use http::Method;
use serde::{Deserialize, Serialize};

use crate::http::semantics::method;
use crate::value::Wrong;

/// A request method, in upper case (RFC 9110, section 9.1).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct MethodName(pub(super) Method);

impl MethodName {
    pub(super) fn idempotent() -> Vec<MethodName> {
        method::idempotent().map(MethodName).collect()
    }
}

impl TryFrom<String> for MethodName {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        let upper = text.to_ascii_uppercase();
        match Method::from_bytes(text.as_bytes()) {
            Ok(_) if text != upper => {
                Err(Wrong::new("methods are upper-case").help(format!("write \"{upper}\"")))
            }
            Ok(method) => Ok(MethodName(method)),
            Err(_) => Err(format!("`{text}` is not a method").into()),
        }
    }
}

impl From<MethodName> for String {
    fn from(method: MethodName) -> String {
        method.0.as_str().to_owned()
    }
}
