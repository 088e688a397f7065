//! One pass over the fields of a head.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::HeaderValue;

use super::limits::Limits;
use crate::codec::h1::framing::FramingHeaders;
use crate::http::headers::{Names, Spans, is_name};
use crate::http::semantics::{expect, upgrade};

/// A longer field name is refused whatever the limits: no type further on could hold it.
const MAX_NAME: usize = 32 << 10;
/// Heads with at most so many fields are parsed without an allocation.
const FIELDS_ON_STACK: usize = 256;

/// The names that this codec obeys, and those that others could take for one of them.
const OBEYED: Names = Names::new(&[
    "connection",
    "content-length",
    "content_length",
    "expect",
    "host",
    "transfer-encoding",
    "transfer_encoding",
    "upgrade",
]);
pub(super) const BARE_LF: &str = "a line that ends without CR";

/// What is gathered in the one pass over a head's fields.
pub(super) struct Fields {
    pub spans: Spans,
    pub framing: FramingHeaders,
    /// Where the one `Host` lies; more than one is refused.
    pub host: Option<(usize, usize)>,
    pub expects_continue: bool,
    close: bool,
    keep_alive: bool,
    /// Whether `Connection` names `Upgrade`.
    upgrades: bool,
    upgrade: Option<(usize, usize)>,
}

impl Fields {
    pub fn with_capacity(fields: usize) -> Self {
        Fields {
            spans: Spans::with_capacity(fields),
            framing: FramingHeaders::default(),
            host: None,
            expects_continue: false,
            close: false,
            keep_alive: false,
            upgrades: false,
            upgrade: None,
        }
    }

    /// Takes note of what the parser found in `head`, which ends with its empty line.
    ///
    /// # Errors
    /// Why the head is refused.
    pub fn gather(head: &[u8], parsed: &[httparse::Header<'_>]) -> Result<Self, &'static str> {
        // The parser lets each line end with LF alone. Between them they are all lines of the head.
        let is_line_end = |end: usize| head[..end].ends_with(b"\r\n");
        let fields_end = head.len().saturating_sub(2);
        let start_of = |field: Option<&httparse::Header<'_>>| {
            field.map_or(fields_end, |field| offset(head, field.name.as_bytes()))
        };
        if !is_line_end(head.len()) || !is_line_end(start_of(parsed.first())) {
            return Err(BARE_LF);
        }
        let mut fields = Fields::with_capacity(parsed.len());
        fields.are_lines(start_of(parsed.first()), fields_end);
        for (at, field) in parsed.iter().enumerate() {
            let end = start_of(parsed.get(at + 1));
            if !is_line_end(end) {
                return Err(BARE_LF);
            }
            let value_at = offset(head, field.value);
            let name = field.name.as_bytes();
            fields.add(name, offset(head, name), field.value, value_at, end)?;
        }
        Ok(fields)
    }

    /// The fields are lines, one behind the other, from `start` to the byte before `end`.
    pub fn are_lines(&mut self, start: usize, end: usize) {
        self.spans.are_lines(start, end);
    }

    /// Takes note of one field, whose line begins at `start` and goes on to the byte before `end`.
    ///
    /// # Errors
    /// Why the head is refused.
    #[inline(always)]
    pub fn add(
        &mut self,
        name: &[u8],
        start: usize,
        value: &[u8],
        value_at: usize,
        end: usize,
    ) -> Result<(), &'static str> {
        if name.len() > MAX_NAME {
            return Err("a header name is too long");
        }
        let key = (self.spans).push_line(name, start, value_at, value.len(), end);
        if OBEYED.may_have(key) {
            self.obey(name, value, value_at)
        } else {
            Ok(())
        }
    }

    fn obey(&mut self, name: &[u8], value: &[u8], value_at: usize) -> Result<(), &'static str> {
        match name.len() {
            4 if is_name(name, "host") && self.host.replace((value_at, value.len())).is_some() => {
                return Err("more than one Host");
            }
            6 if is_name(name, "expect") => {
                self.expects_continue |= expect::is_continue(value);
            }
            7 if is_name(name, "upgrade") => {
                self.upgrade = Some((value_at, value.len()));
            }
            10 if is_name(name, "connection") => self.note_connection(value),
            14 if is_name(name, "content-length") => {
                self.framing.content_length(value)?;
            }
            17 if is_name(name, "transfer-encoding") => {
                self.framing.transfer_encoding(value)?;
            }
            14 | 17 if names_framing_with_underscore(name) => {
                return Err("a header name that could be read as a framing header");
            }
            _ => {}
        }
        Ok(())
    }

    fn note_connection(&mut self, value: &[u8]) {
        for option in value.split(|b| *b == b',') {
            let option = option.trim_ascii();
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrades |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }

    /// Whether the sender lets the connection stay open.
    pub fn keep_alive(&self, http_10: bool) -> bool {
        !self.close && (!http_10 || self.keep_alive)
    }

    /// What `Upgrade` offers or chose, as it came.
    pub fn upgrade(&self, head: &Bytes) -> Option<HeaderValue> {
        let (start, len) = self.upgrade?;
        HeaderValue::from_maybe_shared(head.slice(start..start + len)).ok()
    }

    /// What a caller offers to switch to, without what is never switched to.
    pub fn requested_upgrade(&self, head: &Bytes) -> Option<HeaderValue> {
        let offered = self.upgrade(head).filter(|_| self.upgrades)?;
        upgrade::acceptable(offered)
    }
}

/// Gateways that turn names into variables read an underscore as a hyphen.
pub fn names_framing_with_underscore(name: &[u8]) -> bool {
    let reads_as = |other: &[u8]| {
        name.len() == other.len()
            && name
                .iter()
                .zip(other)
                .all(|(a, b)| a.eq_ignore_ascii_case(b) || *a == b'_' && *b == b'-')
    };
    name.contains(&b'_') && (reads_as(b"content-length") || reads_as(b"transfer-encoding"))
}

/// Gives `parse` room for as many fields as the limits allow, on the stack when they are few.
pub(super) fn with_room<'b, T>(
    limits: Limits,
    parse: impl FnOnce(&mut [MaybeUninit<httparse::Header<'b>>]) -> T,
) -> T {
    match limits.fields() {
        few @ ..=FIELDS_ON_STACK => {
            let mut fields = [const { MaybeUninit::uninit() }; FIELDS_ON_STACK];
            parse(&mut fields[..few])
        }
        many => {
            let mut fields = Vec::new();
            fields.resize_with(many, MaybeUninit::uninit);
            parse(&mut fields)
        }
    }
}

/// Where `part`, a slice of `whole`, begins.
pub(super) fn offset(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize)
        .wrapping_sub(whole.as_ptr() as usize)
        .min(whole.len())
}

/// Whether some line ends with LF alone, which lax readers take for an end of line and strict ones do not.
pub fn has_bare_lf(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).any(|at| at == 0 || head[at - 1] != b'\r')
}
