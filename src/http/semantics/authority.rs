//! The parts of an authority (RFC 3986, section 3.2).

/// Of `host:port`, which has no user; an address of IPv6 is without its brackets. A port that is none is left out.
pub fn host_and_port(authority: &str) -> (&str, Option<u64>) {
    // It is near the end, if it is there.
    let colon = authority
        .bytes()
        .rposition(|byte| byte == b':' || byte == b']');
    let (host, port) = match colon.and_then(|at| authority.split_at_checked(at)) {
        Some((host, port)) if port.starts_with(':') => (host, port[1..].parse().ok()),
        _ => (authority, None),
    };
    let bare = host.strip_prefix('[').and_then(|of| of.strip_suffix(']'));
    (bare.unwrap_or(host), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        for (authority, host, port) in [
            ("pay:8080", "pay", Some(8080)),
            ("[::1]:80", "::1", Some(80)),
            ("[::1]", "::1", None),
            ("10.0.0.1:443", "10.0.0.1", Some(443)),
            ("pay:", "pay", None),
            ("pay", "pay", None),
            ("", "", None),
        ] {
            assert_eq!(host_and_port(authority), (host, port));
        }
    }
}
