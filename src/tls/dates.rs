//! Certificates out of their time. They are told, loudly, and keep nothing from serving: one that expired since it
//! began to serve must not stop an unrelated change, and a clock that is behind must not stop a start.

use std::time::{Duration, SystemTime};

use super::certificate::Certificate;
use crate::value::FilePath;
use crate::value::problem::Problems;

/// A certificate that expires within this is a warning: time enough to look after its renewal.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// One that lives for less than four times as long is a warning in this last part of its life: whoever issues
/// certificates for an hour or a month renews them when half or two thirds of it are over.
const LAST_PART: u32 = 4;

/// What a certificate is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The one that belongs to a key.
    Leaf,
    /// Another of its chain.
    Issuer,
    /// A trust anchor.
    Ca,
}

/// Warns of a certificate that is not valid now, or will not be for long.
pub(super) fn judge(
    certificate: &Certificate,
    role: Role,
    file: &FilePath,
    at: &[&str],
    problems: &mut Problems,
) {
    let now = SystemTime::now();
    let what = match role {
        Role::Leaf => "the certificate",
        Role::Issuer => "an issuer in the chain",
        Role::Ca => "a CA",
    };
    let named = format!("{what} in `{file}` ({})", certificate.names());
    if certificate.ends() <= now {
        let since = date(certificate.not_after);
        let help = match role {
            Role::Leaf => {
                "put a renewed one in its place: whoever is shown this one will refuse it"
            }
            Role::Issuer => {
                "put a renewed one in its place, or take it out if the chain leads to a CA without it"
            }
            Role::Ca => {
                "put a renewed one in its place, or take it out: nobody whom it signed is believed"
            }
        };
        problems
            .warning(at, format!("{named} has expired, on {since}"))
            .once()
            .help(help);
    } else if certificate.not_before > now {
        let from = date(certificate.not_before);
        let help = match role {
            Role::Leaf => {
                "what this file held before serves until then, if that is valid; is this machine's clock right?"
            }
            Role::Issuer => "is this machine's clock right?",
            Role::Ca => {
                "nobody whom it signed is believed until then; is this machine's clock right?"
            }
        };
        problems
            .warning(at, format!("{named} is not valid before {from}"))
            .once()
            .help(help);
    } else if is_last_part(certificate, now) {
        let until = date(certificate.not_after);
        problems
            .warning(at, format!("{named} expires soon, on {until}"))
            .once();
    }
}

fn is_last_part(certificate: &Certificate, now: SystemTime) -> bool {
    let life = certificate.not_after.duration_since(certificate.not_before);
    let left = certificate.not_after.duration_since(now);
    left.unwrap_or_default() < SOON.min(life.unwrap_or_default() / LAST_PART)
}

pub(super) fn date(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 60 * 60;
    const DAY: i64 = 24 * HOUR;

    /// What is said of a certificate that is valid from then to then, in seconds from now.
    fn said(role: Role, from: i64, until: i64) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = i64::try_from(now.unwrap().as_secs()).unwrap();
        let at = |offset: i64| {
            let since_1970 = Duration::from_secs(u64::try_from(now + offset).unwrap());
            rcgen::date_time_ymd(1970, 1, 1) + since_1970
        };
        params.not_before = at(from);
        params.not_after = at(until);
        let made = params.self_signed(&key).unwrap();
        let mut problems = Problems::default();
        let file = std::path::PathBuf::from("x.pem").into();
        let parsed = Certificate::parse(made.der()).unwrap();
        judge(&parsed, role, &file, &["cert"], &mut problems);
        assert!(!problems.has_errors());
        let said = problems.into_vec().into_iter();
        said.map(|problem| format!("{} {}", problem.message, problem.help.unwrap_or_default()))
            .collect()
    }

    #[test]
    fn the_last_part_of_a_life_is_a_warning() {
        for (from, until, is_told) in [
            (-DAY, 364 * DAY, false),
            (-334 * DAY, 31 * DAY, false),
            (-336 * DAY, 29 * DAY, true),
            (-30 * DAY, 60 * DAY, false),
            (-65 * DAY, 25 * DAY, false),
            (-70 * DAY, 20 * DAY, true),
            (-HOUR / 2, HOUR / 2, false),
            (-HOUR * 4 / 5, HOUR / 5, true),
        ] {
            let said = said(Role::Leaf, from, until);
            assert_eq!(said.contains("expires soon"), is_told, "{from} {said}");
        }
    }

    #[test]
    fn what_is_not_valid_is_told_with_what_follows_from_it() {
        for (role, what, over, early) in [
            (
                Role::Leaf,
                "the certificate in `x.pem` (a.example)",
                "will refuse it",
                "held before",
            ),
            (
                Role::Issuer,
                "an issuer in the chain in `x.pem`",
                "take it out if",
                "clock",
            ),
            (
                Role::Ca,
                "a CA in `x.pem`",
                "nobody whom it signed",
                "nobody whom it signed",
            ),
        ] {
            let expired = said(role, -2 * DAY, -DAY);
            for part in [what, "has expired, on 2", over] {
                assert!(expired.contains(part), "{part}: {expired}");
            }
            let ahead = said(role, DAY, 2 * DAY);
            for part in [what, "is not valid before 2", early] {
                assert!(ahead.contains(part), "{part}: {ahead}");
            }
        }
    }
}
