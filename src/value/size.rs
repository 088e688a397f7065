//! Numbers of bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Wrong;
use super::from_text::{text, text_value};

/// A number of bytes, written `"64KiB"` or `"1MiB"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Wrong::new(format!("`{text}` has no unit")).help(format!(
                "write \"{text}B\" for bytes or \"{text}KiB\" for kibibytes"
            )));
        }
        text.parse::<bytesize::ByteSize>()
            .map(|size| ByteSize(size.as_u64()))
            .map_err(|_| {
                Wrong::new(format!("`{text}` is not a size"))
                    .help("write it like \"64KiB\" or \"1MiB\"")
            })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n > 0 && n % (1 << 20) == 0 => write!(f, "{}MiB", n >> 20),
            n if n > 0 && n % (1 << 10) == 0 => write!(f, "{}KiB", n >> 10),
            n => write!(f, "{n}B"),
        }
    }
}

text_value! {
    ByteSize, "a size such as \"64KiB\" or \"1MiB\"";
}
