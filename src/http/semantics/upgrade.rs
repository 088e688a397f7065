//! `Upgrade`: the protocols that one side offers and the other one chooses (RFC 9110, section 7.8).

use http::HeaderValue;

/// Protocols by which HTTP itself would go on, unseen by this proxy (RFC 9113 section 3.1 took the first out of HTTP/2;
/// RFC 2817 is the last).
const NEVER_SWITCHED_TO: [&[u8]; 4] = [b"h2c", b"h2", b"http", b"tls"];

/// What a caller offers, without what is never switched to. None if nothing is left.
pub fn acceptable(offered: HeaderValue) -> Option<HeaderValue> {
    let is_fit = |protocol: &&[u8]| {
        let name = protocol.split(|b| *b == b'/').next().unwrap_or_default();
        !NEVER_SWITCHED_TO
            .iter()
            .any(|never| name.trim_ascii().eq_ignore_ascii_case(never))
    };
    let all = protocols(offered.as_bytes()).count();
    let fit: Vec<&[u8]> = protocols(offered.as_bytes()).filter(is_fit).collect();
    match fit.len() {
        0 => None,
        fit if fit == all => Some(offered),
        _ => HeaderValue::from_bytes(&fit.join(&b", "[..])).ok(),
    }
}

/// Whether all that a server has chosen was offered, and it has chosen something.
pub fn is_choice_of(offered: &[u8], chosen: &[u8]) -> bool {
    let was_offered =
        |chosen: &[u8]| protocols(offered).any(|offered| offered.eq_ignore_ascii_case(chosen));
    let mut chosen = protocols(chosen).peekable();
    chosen.peek().is_some() && chosen.all(was_offered)
}

fn protocols(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|b| *b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|protocol| !protocol.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_itself_is_never_switched_to() {
        for (offered, expected) in [
            ("websocket", Some("websocket")),
            ("websocket,  spdy/3", Some("websocket,  spdy/3")),
            ("h2c", None),
            ("h2c, WebSocket, TLS/1.2", Some("WebSocket")),
            ("HTTP/2.0, a, , b", Some("a, b")),
            ("", None),
            (" , ", None),
        ] {
            let left = acceptable(HeaderValue::from_static(offered));
            let left = left.as_ref().map(|value| value.to_str().unwrap());
            assert_eq!(left, expected, "{offered}");
        }
    }

    #[test]
    fn what_is_chosen_must_have_been_offered() {
        for (offered, chosen, expected) in [
            ("websocket", "WebSocket", true),
            ("a, b", "b", true),
            ("a, b", "b, a", true),
            ("a", "a, b", false),
            ("a", "", false),
            ("", "a", false),
            ("a", "a/2", false),
        ] {
            let is_choice = is_choice_of(offered.as_bytes(), chosen.as_bytes());
            assert_eq!(is_choice, expected, "{offered} -> {chosen}");
        }
    }
}
