//! Every certificate that a config uses, as `outrigger certs`, `GET /certs` and the metrics tell of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::Opened;
use super::certificate::{Certificate, end_of};
use crate::value::FilePath;
use crate::value::exposition::{Metric, labels};
use crate::value::problem::Problems;

const EXPIRY: Metric = Metric::gauge(
    "outrigger_certificate_expiry_timestamp_seconds",
    "When the first certificate of a file that the config names expires, in seconds since 1970.",
);
const NEXT_UPDATE: Metric = Metric::gauge(
    "outrigger_revocation_next_update_timestamp_seconds",
    "When a revocation list or an OCSP response is due to be replaced, in seconds since 1970.",
);

const DAY: u64 = 24 * 60 * 60;

/// What stands in a file.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The first of a chain, which belongs to a key.
    Certificate,
    /// Another of a chain.
    Issuer,
    /// A trust anchor.
    Ca,
    RevocationList,
    OcspResponse,
}

/// A certificate, or a statement about certificates.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Item {
    pub kind: Kind,
    /// Where the config names the file, such as `listeners.web.tls.cert`.
    pub used_by: Vec<String>,
    pub file: FilePath,
    /// Subject alternative names.
    pub names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// In hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    #[serde(serialize_with = "timestamp")]
    pub not_before: SystemTime,
    /// Of a revocation list or an OCSP response, when the next one is due; None when it does not say.
    #[serde(serialize_with = "optional_timestamp")]
    pub not_after: Option<SystemTime>,
}

impl Item {
    pub(super) fn of(kind: Kind, certificate: &Certificate, file: &FilePath, at: &[&str]) -> Self {
        let all = [&certificate.uris, &certificate.dns, &certificate.ips];
        Item {
            kind,
            used_by: vec![at.join(".")],
            file: file.clone(),
            names: all.into_iter().flatten().cloned().collect(),
            subject: Some(certificate.subject.clone()),
            issuer: Some(certificate.issuer.clone()),
            serial: Some(certificate.serial.clone()),
            not_before: certificate.not_before,
            not_after: Some(certificate.not_after),
        }
    }

    /// Whole days until it is not valid any more, negative when it is not; None when it does not say.
    pub fn days_left(&self, now: SystemTime) -> Option<i64> {
        let days = |length: std::time::Duration| i64::try_from(length.as_secs() / DAY).ok();
        match self.not_after?.duration_since(now) {
            Ok(left) => days(left),
            Err(past) => days(past.duration()).map(|days| -1 - days),
        }
    }

    fn ends(&self) -> Option<SystemTime> {
        self.not_after.map(end_of)
    }

    fn has_ended(&self) -> String {
        let (what, how) = match self.kind {
            Kind::Certificate => ("the certificate", "has expired"),
            Kind::Issuer => ("an issuer in the chain", "has expired"),
            Kind::Ca => ("a CA", "has expired"),
            Kind::RevocationList => ("a revocation list", "should have been replaced"),
            Kind::OcspResponse => ("the OCSP response", "should have been replaced"),
        };
        let subject = || self.subject.clone().or(self.issuer.clone());
        let names = if self.names.is_empty() {
            subject().unwrap_or_default()
        } else {
            self.names.join(", ")
        };
        format!("{what} in `{}` ({names}) {how}", self.file)
    }

    fn is_same(&self, other: &Item) -> bool {
        let Item {
            kind,
            used_by: _,
            file,
            names: _,
            subject: _,
            issuer,
            serial,
            not_before,
            not_after,
        } = self;
        (kind, file, issuer, serial, not_before, not_after)
            == (
                &other.kind,
                &other.file,
                &other.issuer,
                &other.serial,
                &other.not_before,
                &other.not_after,
            )
    }
}

/// What was found where.
#[derive(Clone, Debug, Default, Serialize, PartialEq)]
#[serde(transparent)]
pub struct Inventory(Vec<Item>);

impl Inventory {
    pub(super) fn add(&mut self, item: Item) {
        self.0.push(item);
    }

    /// Takes what a block found that stands at `place`.
    pub fn append(&mut self, place: &[&str], found: &Inventory) {
        for item in &found.0 {
            let below = |at: &String| format!("{}.{at}", place.join("."));
            self.0.push(Item {
                used_by: item.used_by.iter().map(below).collect(),
                ..item.clone()
            });
        }
    }

    /// Everything once, what ends next first.
    pub fn by_expiry(&self) -> Vec<Item> {
        let mut once: Vec<Item> = Vec::with_capacity(self.0.len());
        for item in &self.0 {
            match once.iter_mut().find(|seen| seen.is_same(item)) {
                Some(seen) => seen.used_by.extend(item.used_by.iter().cloned()),
                None => once.push(item.clone()),
            }
        }
        once.sort_by_key(|item| (item.not_after.is_none(), item.not_after));
        once
    }

    /// When the next date passes that changes something: one that belongs to a key becomes valid, or anything ends.
    pub fn next_change(&self, now: SystemTime) -> Option<SystemTime> {
        let shown = self.0.iter().filter(|item| item.kind == Kind::Certificate);
        let begins = shown.map(|item| item.not_before);
        let ends = self.0.iter().filter_map(Item::ends);
        begins.chain(ends).filter(|at| *at > now).min()
    }

    /// What ended from then to then, in words.
    pub fn ended(&self, from: SystemTime, to: SystemTime) -> Vec<String> {
        let mut items = self.by_expiry();
        items.retain(|item| item.ends().is_some_and(|end| from <= end && end <= to));
        items.iter().map(Item::has_ended).collect()
    }

    /// Writes, as Prometheus reads it, when what each key names ends: of several in a file the first to do so. These
    /// are no gauges of the recorder, which would go on to tell of files that the config no longer names.
    pub fn render_metrics(&self, text: &mut String) {
        let is_certificate =
            |item: &Item| !matches!(item.kind, Kind::RevocationList | Kind::OcspResponse);
        for (metric, certificates) in [(EXPIRY, true), (NEXT_UPDATE, false)] {
            let mut ends: BTreeMap<&str, SystemTime> = BTreeMap::new();
            for item in &self.0 {
                let (true, Some(end)) = (is_certificate(item) == certificates, item.not_after)
                else {
                    continue;
                };
                for at in &item.used_by {
                    let first = ends.entry(at).or_insert(end);
                    *first = end.min(*first);
                }
            }
            if ends.is_empty() {
                continue;
            }
            metric.write_head(text);
            for (at, end) in ends {
                let end = end.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                metric.write_sample(text, &labels([("name", at)]), end);
            }
        }
    }
}

/// `items`, each with the days that are left to it.
pub fn json(items: &[Item], now: SystemTime) -> Value {
    let described = items.iter().map(|item| {
        let mut described = json!(item);
        described["days_left"] = json!(item.days_left(now));
        described
    });
    described.collect()
}

/// The opening of a block's files: what is wrong with them so far, and what was found.
#[derive(Default)]
pub(super) struct Opening {
    pub problems: Problems,
    pub inventory: Inventory,
}

impl Opening {
    /// Adds what is wrong to `problems`, and makes the material, unless there is an error.
    pub fn end<T>(
        self,
        problems: &mut Problems,
        material: impl FnOnce() -> Option<T>,
    ) -> Opened<T> {
        let fit = !self.problems.has_errors();
        problems.append(self.problems);
        Opened {
            material: if fit { material().map(Arc::new) } else { None },
            inventory: self.inventory,
        }
    }
}

fn timestamp<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_seconds(*time))
}

fn optional_timestamp<S: Serializer>(
    time: &Option<SystemTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => timestamp(time, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn item(kind: Kind, at: &str, serial: &str, until: Option<u64>) -> Item {
        let time = |days: u64| UNIX_EPOCH + Duration::from_secs(days * DAY);
        Item {
            kind,
            used_by: vec![at.to_owned()],
            file: std::path::PathBuf::from("x.pem").into(),
            names: Vec::new(),
            subject: None,
            issuer: None,
            serial: Some(serial.to_owned()),
            not_before: time(0),
            not_after: until.map(time),
        }
    }

    fn found() -> Inventory {
        let mut web = Inventory::default();
        web.add(item(Kind::RevocationList, "crl", "", None));
        web.add(item(Kind::OcspResponse, "ocsp", "1", Some(2)));
        web.add(item(Kind::Issuer, "cert", "2", Some(9)));
        web.add(item(Kind::Certificate, "cert", "1", Some(11)));
        let mut app = Inventory::default();
        app.add(item(Kind::Certificate, "cert", "1", Some(11)));
        let mut all = Inventory::default();
        all.append(&["listeners", "web", "tls"], &web);
        all.append(&["upstreams", "app", "tls"], &app);
        all
    }

    #[test]
    fn what_ends_next_comes_first_and_what_is_used_twice_once() {
        let items = found().by_expiry();
        let serials: Vec<_> = items.iter().filter_map(|i| i.serial.as_deref()).collect();
        assert_eq!(serials, ["1", "2", "1", ""]);
        assert_eq!(
            items[2].used_by,
            ["listeners.web.tls.cert", "upstreams.app.tls.cert"]
        );
    }

    #[test]
    fn the_next_date_that_matters_is_found_and_what_ended_is_told() {
        let mut all = Inventory::default();
        let at = |days: u64| UNIX_EPOCH + Duration::from_secs(days * DAY);
        let second = Duration::from_secs(1);
        for (kind, begins, ends) in [
            (Kind::Ca, 5, 9),
            (Kind::Issuer, 6, 20),
            (Kind::Certificate, 8, 20),
            (Kind::Certificate, 7, 20),
            (Kind::RevocationList, 1, 10),
        ] {
            let not_before = at(begins);
            all.add(Item {
                not_before,
                ..item(kind, "cert", "1", Some(ends))
            });
        }
        for (now, next) in [
            (at(4), Some(at(7))),
            (at(7), Some(at(8))),
            (at(8), Some(at(9) + second)),
            (at(9), Some(at(9) + second)),
            (at(9) + second, Some(at(10) + second)),
            (at(21), None),
        ] {
            assert_eq!(all.next_change(now), next);
        }
        assert_eq!(all.ended(at(8), at(9)), [""; 0]);
        assert_eq!(
            all.ended(at(8), at(11)),
            [
                "a CA in `x.pem` () has expired",
                "a revocation list in `x.pem` () should have been replaced"
            ]
        );
    }

    #[test]
    fn days_are_whole_ones() {
        let item = item(Kind::Ca, "ca", "1", Some(10));
        let at = |seconds| item.days_left(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), Some(10));
        assert_eq!(at(9 * DAY + 1), Some(0));
        assert_eq!(at(10 * DAY + 1), Some(-1));
        assert_eq!(at(12 * DAY), Some(-3));
    }

    #[test]
    fn a_file_ends_with_the_first_of_its_certificates() {
        let mut text = String::new();
        found().render_metrics(&mut text);
        let (expiry, next_update) = (EXPIRY.name, NEXT_UPDATE.name);
        for line in [
            format!("{expiry}{{name=\"listeners.web.tls.cert\"}} {}", 9 * DAY),
            format!("{expiry}{{name=\"upstreams.app.tls.cert\"}} {}", 11 * DAY),
            format!(
                "{next_update}{{name=\"listeners.web.tls.ocsp\"}} {}",
                2 * DAY
            ),
        ] {
            assert!(text.contains(&line), "{line}: {text}");
        }
        assert!(!text.contains("crl"));
    }
}
