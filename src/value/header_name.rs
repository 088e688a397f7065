//! Names of headers as the config writes them.

use http::HeaderName;

use super::Wrong;

/// The name that `text` is.
///
/// # Errors
/// What is wrong with it, and how it was probably meant.
pub fn read_header_name(text: &str) -> Result<HeaderName, Wrong> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| not_a_name(text))
}

fn not_a_name(text: &str) -> Wrong {
    let wrong = format!("`{text}` is not a header name");
    match text.split_once(':') {
        Some((name, _)) if HeaderName::from_bytes(name.as_bytes()).is_ok() => {
            // What follows is not repeated: it may be a secret.
            Wrong::new(format!("`{name}: ...` is not a header name")).help(format!(
                "write \"{name}\", without the colon and what follows it"
            ))
        }
        _ if text.contains(char::is_whitespace) => {
            let meant: Vec<&str> = text.split_whitespace().collect();
            let meant = meant.join("-");
            Wrong::new(wrong).help(format!("write it without spaces, like \"{meant}\""))
        }
        _ => Wrong::new(wrong).help("a name is letters, digits and `-`, like \"x-tenant\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_or_it_is_said_how_it_was_meant() {
        assert_eq!(read_header_name("X-Tenant").unwrap(), "x-tenant");
        for (text, part) in [
            ("x-a: hush", "write \"x-a\", without the colon"),
            ("x tenant id", "like \"x-tenant-id\""),
            ("", "letters, digits and `-`"),
            ("x(a)", "letters, digits and `-`"),
        ] {
            let why = read_header_name(text).unwrap_err().to_string();
            assert!(why.contains(part) && !why.contains("hush"), "{why}");
        }
    }
}
