//! Lists as PostgreSQL writes them (its documentation, section 8.15.6), as JSON.

use bytes::BytesMut;

/// Writes the list in `text`; `member` writes one that is not null. False where it is no list.
pub(super) fn write(
    text: &[u8],
    into: &mut BytesMut,
    mut member: impl FnMut(&[u8], &mut BytesMut),
) -> bool {
    // Bounds other than from 1 stand before it: `[2:3]={1,2}`.
    let text = match text.first() {
        Some(b'[') => match text.iter().position(|byte| *byte == b'=') {
            Some(end) => &text[end + 1..],
            None => return false,
        },
        _ => text,
    };
    if text.first() != Some(&b'{') {
        return false;
    }
    let (mut at, mut depth) = (0, 0_usize);
    let mut unescaped = Vec::new();
    while let Some(byte) = text.get(at) {
        match byte {
            b'{' => {
                depth += 1;
                into.extend_from_slice(b"[");
                at += 1;
            }
            b'}' => {
                depth = match depth.checked_sub(1) {
                    Some(depth) => depth,
                    None => return false,
                };
                into.extend_from_slice(b"]");
                at += 1;
            }
            b',' => {
                into.extend_from_slice(b",");
                at += 1;
            }
            b'"' => {
                unescaped.clear();
                at += 1;
                loop {
                    match text.get(at) {
                        None => return false,
                        Some(b'"') => break,
                        Some(b'\\') => {
                            at += 1;
                            unescaped.extend(text.get(at));
                        }
                        Some(byte) => unescaped.push(*byte),
                    }
                    at += 1;
                }
                at += 1;
                member(&unescaped, into);
            }
            _ => {
                let rest = &text[at..];
                let length = rest
                    .iter()
                    .position(|byte| matches!(byte, b',' | b'}'))
                    .unwrap_or(rest.len());
                match &rest[..length] {
                    b"NULL" => into.extend_from_slice(b"null"),
                    word => member(word, into),
                }
                at += length;
            }
        }
        if depth == 0 {
            break;
        }
    }
    depth == 0 && at == text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::json;

    fn strings(text: &str) -> Option<String> {
        let mut into = BytesMut::new();
        let is_list = write(text.as_bytes(), &mut into, json::string);
        is_list.then(|| String::from_utf8(into.to_vec()).unwrap())
    }

    #[test]
    fn lists_are_lists() {
        for (text, expected) in [
            ("{}", "[]"),
            ("{a,NULL,\"NULL\"}", r#"["a",null,"NULL"]"#),
            (
                r#"{"a,b","c\"d\\e","{}",""}"#,
                r#"["a,b","c\"d\\e","{}",""]"#,
            ),
            ("{{1,2},{3,4}}", r#"[["1","2"],["3","4"]]"#),
            ("[2:3]={a,b}", r#"["a","b"]"#),
        ] {
            let json = strings(text).unwrap();
            assert_eq!(json, expected);
            serde_json::from_str::<serde_json::Value>(&json).unwrap();
        }
        for text in ["", "a", "{", "}", "{a", "{\"a}", "{a}b", "[1:2]"] {
            assert_eq!(strings(text), None, "{text}");
        }
    }
}
