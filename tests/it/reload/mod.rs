//! A config that changes while it serves.

mod listeners;
mod serving;
mod under_way;

/// One listener, and a route that answers with this text.
fn saying(text: &str) -> String {
    format!(
        "[listeners.main]\nlisten = \"127.0.0.1:0\"\n[routes.all]\nrespond = {{ body = \"{text}\" }}\n"
    )
}
