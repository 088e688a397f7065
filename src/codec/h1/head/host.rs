//! The value of `Host`, which is nearly always one that the same worker has read before.

use std::cell::RefCell;

use bytes::Bytes;
use http::uri::Authority;

use super::target::is_sound;
use crate::http::error::{BAD_REQUEST, Error};

/// Hosts that a worker remembers, and how long they may be.
const REMEMBERED: usize = 16;
const LONGEST: usize = 256;

thread_local! {
    /// Sound ones, each at its [`place`].
    static SEEN: RefCell<[Option<Authority>; REMEMBERED]> = const { RefCell::new([const { None }; REMEMBERED]) };
}

/// The value of `Host`; `None` when it is empty.
///
/// # Errors
/// `bad_request`
pub(super) fn parse(value: &[u8]) -> Result<Option<Authority>, Error> {
    if value.is_empty() {
        return Ok(None);
    }
    if let Some(host) = recall(value) {
        return Ok(Some(host));
    }
    match read(value) {
        Some(host) => {
            remember(&host);
            Ok(Some(host))
        }
        None => Err(Error::new(BAD_REQUEST, "malformed Host")),
    }
}

/// The host of a head that is refused, which is not worth remembering; `None` when it is malformed or empty.
pub(super) fn read(value: &[u8]) -> Option<Authority> {
    // A copy, as the head that it is in goes with its request.
    let host = Authority::from_maybe_shared(Bytes::copy_from_slice(value)).ok()?;
    is_sound(&host).then_some(host)
}

fn recall(value: &[u8]) -> Option<Authority> {
    let found = SEEN.try_with(|seen| {
        let seen = seen.borrow();
        let host = seen[place(value)].as_ref();
        host.filter(|host| host.as_str().as_bytes() == value)
            .cloned()
    });
    found.ok().flatten()
}

fn remember(host: &Authority) {
    let value = host.as_str().as_bytes();
    if value.len() <= LONGEST {
        // A thread that is ending remembers nothing.
        let _ = SEEN.try_with(|seen| seen.borrow_mut()[place(value)] = Some(host.clone()));
    }
}

/// Names of one application differ in their beginnings, and addresses in their ends.
fn place(value: &[u8]) -> usize {
    let byte = |at: usize| value.get(at).copied().map_or(0, usize::from);
    let length = value.len();
    (byte(0) + 3 * byte(length / 2) + 5 * byte(length.wrapping_sub(1)) + length) % REMEMBERED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_one_place_are_told_apart() {
        let hosts = (0..100).map(|number| format!("{number}.example:{number}"));
        for host in hosts.flat_map(|host| [host.to_uppercase(), host]) {
            for _ in 0..2 {
                let read = parse(host.as_bytes()).unwrap().unwrap();
                assert_eq!(read.as_str(), host);
            }
        }
    }

    #[test]
    fn what_is_refused_is_refused_again() {
        for _ in 0..2 {
            assert!(parse(b"a@b").is_err());
            assert!(parse(b"").unwrap().is_none());
            assert!(read(b"").is_none());
        }
    }
}
