//! Who speaks gRPC, and in which form.

use http::HeaderValue;

const CALL: &str = "application/grpc";

/// The `Content-Type` of a call.
pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static(CALL);

/// How a caller reads what became of its call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// From the status of HTTP.
    #[default]
    Http,
    /// From trailers, or from the head of an answer that has nothing else ("trailers-only").
    Grpc,
    /// From the last frame of the body, or from such a head: browsers show no trailers to a page.
    GrpcWeb,
    /// The same, in base64.
    GrpcWebText,
}

impl Dialect {
    /// What the `Content-Type` of a request says.
    pub fn of(content_type: &[u8]) -> Self {
        let Some(rest) = content_type.strip_prefix(CALL.as_bytes()) else {
            return Dialect::Http;
        };
        let (dialect, rest) = match rest.strip_prefix(b"-web") {
            None => (Dialect::Grpc, rest),
            Some(rest) => match rest.strip_prefix(b"-text") {
                None => (Dialect::GrpcWeb, rest),
                Some(rest) => (Dialect::GrpcWebText, rest),
            },
        };
        match rest.first() {
            None | Some(b'+' | b';' | b' ') => dialect,
            Some(_) => Dialect::Http,
        }
    }

    /// Whether a call ends with a status of gRPC, whatever that of HTTP is.
    pub fn is_grpc(self) -> bool {
        self != Dialect::Http
    }

    /// Whether the caller is a page's script, to which a browser shows a few headers only.
    pub fn is_web(self) -> bool {
        matches!(self, Dialect::GrpcWeb | Dialect::GrpcWebText)
    }

    /// The `Content-Type` of an answer without messages.
    pub fn content_type(self) -> Option<HeaderValue> {
        Some(HeaderValue::from_static(match self {
            Dialect::Http => return None,
            Dialect::Grpc => CALL,
            Dialect::GrpcWeb => "application/grpc-web+proto",
            Dialect::GrpcWebText => "application/grpc-web-text+proto",
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_says_which_dialect_a_caller_speaks() {
        for (content_type, dialect) in [
            ("application/grpc", Dialect::Grpc),
            ("application/grpc+proto", Dialect::Grpc),
            ("application/grpc;charset=utf-8", Dialect::Grpc),
            ("application/grpc-web", Dialect::GrpcWeb),
            ("application/grpc-web+json", Dialect::GrpcWeb),
            ("application/grpc-web-text", Dialect::GrpcWebText),
            ("application/grpc-web-text+proto", Dialect::GrpcWebText),
            ("application/grpc-webby", Dialect::Http),
            ("application/grpcish", Dialect::Http),
            ("application/connect+proto", Dialect::Http),
            ("application/proto", Dialect::Http),
            ("", Dialect::Http),
        ] {
            assert_eq!(
                Dialect::of(content_type.as_bytes()),
                dialect,
                "{content_type}"
            );
        }
    }
}
