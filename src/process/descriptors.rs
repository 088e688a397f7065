//! File descriptors: how many there may be, and which are held back.
//!
//! Callers may not take the last ones: an answer needs a connection to its upstream as well. Nor may upstreams: then
//! neither kubelet nor Prometheus would be let in, and no changed config could be read. The kernel always gives the
//! lowest descriptor that is free, so the number of a new one tells how many are taken, at no cost.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Of those that there may be, a fourth is held back from callers, and a sixteenth from everything but probes, the
/// admin API and files; never more than these.
const FROM_CALLERS: u64 = 4096;
const FROM_UPSTREAMS: u64 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ceilings {
    callers: RawFd,
    upstreams: RawFd,
}

/// None: nobody asked for the limits yet.
static CEILINGS: OnceLock<Ceilings> = OnceLock::new();

impl Ceilings {
    fn of(most: u64) -> Self {
        let below = |held_back: u64| RawFd::try_from(most - held_back).unwrap_or(RawFd::MAX);
        Ceilings {
            callers: below((most / 4).min(FROM_CALLERS)),
            upstreams: below((most / 16).min(FROM_UPSTREAMS)),
        }
    }
}

/// Raises the soft limit to the hard one, as every program may that does not use select(2), and holds some back. To
/// be called once, at the start.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit != raised
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "the limit of open files cannot be raised to the hard one");
    }
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    CEILINGS.get_or_init(|| Ceilings::of(most));
}

/// How many files this process may have open, once the limit was raised.
pub fn most() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// Whether a caller may have this descriptor.
pub fn is_for_callers(descriptor: impl AsFd) -> bool {
    below(descriptor, |ceilings| ceilings.callers)
}

/// Whether a connection to an upstream may have this descriptor.
pub fn is_for_upstreams(descriptor: impl AsFd) -> bool {
    below(descriptor, |ceilings| ceilings.upstreams)
}

fn below(descriptor: impl AsFd, ceiling: impl Fn(&Ceilings) -> RawFd) -> bool {
    let number = descriptor.as_fd().as_raw_fd();
    CEILINGS
        .get()
        .is_none_or(|ceilings| number < ceiling(ceilings))
}

/// Whether this says that there is no descriptor left.
pub fn is_lack(error: &io::Error) -> bool {
    let lacks = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    error
        .raw_os_error()
        .is_some_and(|code| lacks.contains(&code))
}

/// As when there is no descriptor left.
pub fn lack() -> io::Error {
    Errno::MFILE.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_held_back_however_many_there_are() {
        let of = |most| {
            let Ceilings { callers, upstreams } = Ceilings::of(most);
            (callers, upstreams)
        };
        assert_eq!(of(64), (48, 60));
        assert_eq!(of(1024), (768, 960));
        assert_eq!(of(1 << 20), ((1 << 20) - 4096, (1 << 20) - 64));
        assert_eq!(of(u64::MAX), (RawFd::MAX, RawFd::MAX));
    }

    #[test]
    fn a_lack_is_told_apart() {
        assert!(is_lack(&lack()));
        assert!(!is_lack(&io::ErrorKind::ConnectionRefused.into()));
    }
}
