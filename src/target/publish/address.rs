//! Where messages go: what a request makes of the keys.

use crate::broker::{Address, AddressKeys, Destination, Refusal};
use crate::http::message::Request;
use crate::value::captures;
use crate::value::problem::Problems;
use crate::value::template::HeaderTemplate;

/// What can be told without the broker.
pub(super) fn check(
    keys: &AddressKeys<'_, HeaderTemplate>,
    known: &[&str],
    problems: &mut Problems,
) {
    for (key, value) in keys.set() {
        value.check(&[key], problems);
        captures::check(known, &[key], value.captures(), value.as_str(), problems);
    }
    keys.check(problems);
}

/// Where the message of `request` goes.
pub(super) fn of(
    address: &Address<HeaderTemplate>,
    request: &Request,
) -> Result<Destination, Refusal> {
    address.fill(|template, key| {
        let value = template.render(request);
        let text = std::str::from_utf8(value.as_bytes());
        let text = text.map_err(|_| Refusal::Unfit(format!("`{key}` is not text in UTF-8")))?;
        Ok(text.to_owned())
    })
}
