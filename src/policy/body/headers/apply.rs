//! A plan at work on one message.

use super::plan::{Plan, Put};
use crate::http::headers::Headers;
use crate::http::message::Request;

/// The values of a message that are not the same for all, one behind the other, and each behind its length.
#[derive(Default)]
pub struct Rendered(Vec<u8>);

/// Room for a value and its length.
const USUAL: usize = 64;

impl Plan {
    /// Nothing is allocated where all values are constant.
    pub fn render(&self, request: &Request) -> Rendered {
        let mut text = Vec::with_capacity(self.made * USUAL);
        for put in &self.put {
            if let Put::Made(_, template) = put {
                let start = text.len() + size_of::<usize>();
                text.resize(start, 0);
                template.render_into(request, &mut text);
                let length = text.len() - start;
                text[start - size_of::<usize>()..start].copy_from_slice(&length.to_ne_bytes());
            }
        }
        Rendered(text)
    }

    pub fn apply(&self, rendered: &Rendered, headers: &mut Headers) {
        headers.remove_set(&self.gone);
        let mut values = rendered.values();
        for put in &self.put {
            match put {
                Put::Constant(line) => headers.append_line(line),
                Put::Made(name, _) => {
                    headers.append_bytes(name, values.next().unwrap_or_default());
                }
            }
        }
    }
}

impl Rendered {
    fn values(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first_chunk()?;
            let (value, behind) = behind.split_at_checked(usize::from_ne_bytes(*length))?;
            rest = behind;
            Some(value)
        })
    }
}
