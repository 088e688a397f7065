//! Subjects: tokens with dots between them.

/// The first token of the subjects that are our own.
pub(super) const OURS: &str = "outrigger";

/// What is wrong with a pattern of subjects, whose tokens may be `*`, and the last one `>`.
pub(super) fn wrong_pattern(pattern: &str) -> Option<String> {
    let tokens: Vec<&str> = pattern.split('.').collect();
    for (place, token) in tokens.iter().enumerate() {
        let is_last = place + 1 == tokens.len();
        if token.is_empty() {
            return Some(format!("the subject `{pattern}` has an empty token"));
        }
        if token.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Some(format!("the subject `{pattern}` has a blank in it"));
        }
        if *token == ">" && !is_last {
            return Some(format!(
                "the subject `{pattern}` goes on behind `>`, which stands for all the rest"
            ));
        }
    }
    None
}

/// Whether there are subjects that both patterns match.
pub(super) fn overlap(one: &str, other: &str) -> bool {
    let (mut ones, mut others) = (one.split('.'), other.split('.'));
    loop {
        match (ones.next(), others.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some(a), Some(b)) if a == "*" || b == "*" || a == b => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_overlap_where_one_subject_fits_both() {
        for (one, other, wanted) in [
            ("orders.>", "orders.retry.1", true),
            ("orders.*", "orders.retry.1", false),
            ("*.a", "b.*", true),
            ("a.b", "a.b", true),
            ("a.b", "a.c", false),
            ("a", "a.b", false),
            ("a.>", "a", false),
            (">", "a.b.c", true),
        ] {
            assert_eq!(overlap(one, other), wanted, "{one} {other}");
            assert_eq!(overlap(other, one), wanted, "{other} {one}");
        }
    }

    #[test]
    fn patterns_have_no_empty_tokens_and_no_blanks() {
        for good in ["a", "a.b.>", "*.b", ">", "ä.ö"] {
            assert_eq!(wrong_pattern(good), None);
        }
        for bad in ["", ".a", "a.", "a..b", "a b", "a.>.b", "a\t"] {
            assert!(wrong_pattern(bad).is_some(), "{bad}");
        }
    }
}
