//! For which names a CA may sign (name constraints; RFC 5280, section 4.2.1.10), as far as webpki leaves it open: it
//! judges DNS names and IP addresses, and refuses everybody where URIs or directory names are limited. For a trust anchor
//! those two are taken out of what webpki sees and judged here, behind it. Further down the path they stay with
//! webpki, which refuses.

use std::net::IpAddr;

use x509_cert::Certificate;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::{AnyRef, Ia5StringRef, PrintableStringRef, Utf8StringRef};
use x509_cert::der::{Decode, Encode, Error, Tag, TagNumber, Tagged};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{NameConstraints, SubjectAltName};
use x509_cert::name::{Name, RelativeDistinguishedName};

use super::der::{children, inside};

/// What a trust anchor may sign.
#[derive(Debug, Default)]
pub(super) struct Limits {
    uris: Sides<String>,
    directories: Sides<Name>,
}

#[derive(Debug)]
struct Sides<T> {
    /// Empty: all.
    permitted: Vec<T>,
    excluded: Vec<T>,
}

impl<T> Default for Sides<T> {
    fn default() -> Self {
        Sides {
            permitted: Vec::new(),
            excluded: Vec::new(),
        }
    }
}

impl<T> Sides<T> {
    fn is_empty(&self) -> bool {
        self.permitted.is_empty() && self.excluded.is_empty()
    }

    /// `covers` says None where nobody can tell; that permits nothing and excludes.
    fn allow(&self, covers: impl Fn(&T) -> Option<bool>) -> bool {
        let mut permitted = self.permitted.iter();
        (self.permitted.is_empty() || permitted.any(|base| covers(base).unwrap_or(false)))
            && !self
                .excluded
                .iter()
                .any(|base| covers(base).unwrap_or(true))
    }
}

/// Tags of the two lists, and of the names in them.
const PERMITTED: Tag = tag(0, true);
const EXCLUDED: Tag = tag(1, true);
const URI: Tag = tag(6, false);
const DIRECTORY: Tag = tag(4, true);

const fn tag(number: u32, constructed: bool) -> Tag {
    Tag::ContextSpecific {
        constructed,
        number: TagNumber(number),
    }
}

impl Limits {
    /// Takes out of `constraints`, without tag and length, what is judged here, and leaves the rest.
    pub fn take(constraints: &[u8]) -> Result<(Limits, Vec<u8>), Error> {
        let mut limits = Limits::default();
        let mut rest = Vec::new();
        for side in children(constraints)? {
            let is_permitted = side.tag() == PERMITTED;
            let mut left = Vec::new();
            for subtree in inside(&side)? {
                match &inside(&subtree)?[..] {
                    // A subtree that says more than its base is none of this profile, and webpki's to refuse.
                    [base] if limits.add(base, is_permitted)? => {}
                    _ => left.extend(subtree.to_der()?),
                }
            }
            if !left.is_empty() {
                let tag = if is_permitted { PERMITTED } else { EXCLUDED };
                rest.extend(AnyRef::new(tag, &left)?.to_der()?);
            }
        }
        Ok((limits, rest))
    }

    /// Whether it is of a kind that is judged here.
    fn add(&mut self, base: &AnyRef<'_>, is_permitted: bool) -> Result<bool, Error> {
        fn side<T>(sides: &mut Sides<T>, is_permitted: bool) -> &mut Vec<T> {
            if is_permitted {
                &mut sides.permitted
            } else {
                &mut sides.excluded
            }
        }
        match base.tag() {
            URI => {
                let host = String::from_utf8_lossy(base.value()).to_ascii_lowercase();
                side(&mut self.uris, is_permitted).push(host);
            }
            DIRECTORY => {
                let name = Name::from_der(base.value())?;
                side(&mut self.directories, is_permitted).push(name);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub fn is_empty(&self) -> bool {
        self.uris.is_empty() && self.directories.is_empty()
    }

    /// Whether all names of a certificate are within them. One that cannot be read is not.
    pub fn allow(&self, der: &[u8]) -> bool {
        let Ok(certificate) = Certificate::from_der(der) else {
            return false;
        };
        let tbs = certificate.tbs_certificate();
        let Ok(names) = tbs.get_extension::<SubjectAltName>() else {
            return false;
        };
        let names = names.map(|(_, names)| names.0).unwrap_or_default();
        let subject = tbs.subject();
        (subject.is_empty() || self.allow_directory(subject))
            && names.iter().all(|name| match name {
                GeneralName::UniformResourceIdentifier(uri) => self.allow_uri(uri.as_str()),
                GeneralName::DirectoryName(name) => self.allow_directory(name),
                _ => true,
            })
    }

    fn allow_uri(&self, uri: &str) -> bool {
        if self.uris.is_empty() {
            return true;
        }
        // Without a host that is a name there is nothing that a constraint could be applied to: it is refused.
        host_of(uri).is_some_and(|host| self.uris.allow(|base| covers_host(base, &host)))
    }

    fn allow_directory(&self, name: &Name) -> bool {
        self.directories.allow(|base| covers_name(base, name))
    }
}

/// The host of a URI, of a SPIFFE ID its trust domain, where it is a name (RFC 3986, section 3.2).
fn host_of(uri: &str) -> Option<String> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let is_name = !host.is_empty() && !host.starts_with('[') && host.parse::<IpAddr>().is_err();
    is_name.then(|| host.to_ascii_lowercase())
}

/// `.example` stands for all hosts below, `example` for that host.
fn covers_host(base: &str, host: &str) -> Option<bool> {
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if base.is_empty() || !base.bytes().all(is_host) {
        return None;
    }
    Some(if base.starts_with('.') {
        host.len() > base.len() && host.ends_with(base)
    } else {
        host == base
    })
}

/// Whether `name` begins with all that `base` has.
fn covers_name(base: &Name, name: &Name) -> Option<bool> {
    if name.iter_rdn().count() < base.iter_rdn().count() {
        return Some(false);
    }
    let pairs = base.iter_rdn().zip(name.iter_rdn());
    all_of(pairs.map(|(one, other)| is_same_part(one, other)))
}

fn is_same_part(
    one: &RelativeDistinguishedName,
    other: &RelativeDistinguishedName,
) -> Option<bool> {
    if one.len() != other.len() {
        return Some(false);
    }
    all_of(one.iter().map(|attribute| {
        let same_kind = other.iter().find(|other| other.oid == attribute.oid);
        same_kind.map_or(Some(false), |other| is_same(attribute, other))
    }))
}

/// RFC 5280, section 7.1, without the folding of signs that hardly any name has: a difference in case or blanks is none.
fn is_same(one: &AttributeTypeAndValue, other: &AttributeTypeAndValue) -> Option<bool> {
    if one.value == other.value {
        return Some(true);
    }
    let text = |attribute: &AttributeTypeAndValue| {
        let value = AnyRef::from(&attribute.value);
        let text = match value.tag() {
            Tag::Utf8String => value
                .decode_as::<Utf8StringRef<'_>>()
                .ok()?
                .as_str()
                .to_owned(),
            Tag::PrintableString => value
                .decode_as::<PrintableStringRef<'_>>()
                .ok()?
                .as_str()
                .to_owned(),
            Tag::Ia5String => value
                .decode_as::<Ia5StringRef<'_>>()
                .ok()?
                .as_str()
                .to_owned(),
            _ => return None,
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        Some(words.join(" ").to_lowercase())
    };
    Some(text(one)? == text(other)?)
}

/// No where one says no, and None where nobody can tell.
fn all_of(all: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut answer = Some(true);
    for one in all {
        match one {
            Some(false) => return Some(false),
            Some(true) => {}
            None => answer = None,
        }
    }
    answer
}

/// The kinds of names that a certificate limits and nobody here can judge, in words: for one below a trust anchor
/// with those that are judged for an anchor only.
pub(super) fn unknown_kinds(der: &[u8], is_anchor: bool) -> Vec<&'static str> {
    let limits = Certificate::from_der(der).ok().and_then(|certificate| {
        let limits = certificate.tbs_certificate().get_extension();
        limits.ok().flatten()
    });
    let Some((_, limits)): Option<(bool, NameConstraints)> = limits else {
        return Vec::new();
    };
    let sides = [limits.permitted_subtrees, limits.excluded_subtrees];
    let subtrees = sides.into_iter().flatten().flatten();
    let mut kinds: Vec<&str> = subtrees
        .filter_map(|subtree| match subtree.base {
            GeneralName::DnsName(_) | GeneralName::IpAddress(_) => None,
            GeneralName::UniformResourceIdentifier(_) => (!is_anchor).then_some("URIs"),
            GeneralName::DirectoryName(_) => (!is_anchor).then_some("directory names"),
            GeneralName::Rfc822Name(_) => Some("e-mail addresses"),
            GeneralName::OtherName(_)
            | GeneralName::EdiPartyName(_)
            | GeneralName::RegisteredId(_) => Some("names of other kinds"),
        })
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_uri_is_found() {
        for (uri, host) in [
            ("spiffe://td/ns/a", Some("td")),
            ("spiffe://TD.example", Some("td.example")),
            ("https://user:p@a.example:8443/x@y", Some("a.example")),
            ("https://a.example?x#y", Some("a.example")),
            ("https://127.0.0.1/x", None),
            ("https://[::1]:80/x", None),
            ("urn:uuid:1", None),
            ("spiffe:///x", None),
        ] {
            assert_eq!(host_of(uri).as_deref(), host, "{uri}");
        }
    }

    #[test]
    fn a_constraint_covers_its_host_or_those_below() {
        for (base, host, covers) in [
            ("td", "td", Some(true)),
            ("td", "a.td", Some(false)),
            (".td", "a.td", Some(true)),
            (".td", "a.b.td", Some(true)),
            (".td", "td", Some(false)),
            (".td", "atd", Some(false)),
            ("spiffe://td", "td", None),
            ("", "td", None),
        ] {
            assert_eq!(covers_host(base, host), covers, "{base} {host}");
        }
        let sides = |permitted: &[&str], excluded: &[&str]| Limits {
            uris: Sides {
                permitted: permitted.iter().map(ToString::to_string).collect(),
                excluded: excluded.iter().map(ToString::to_string).collect(),
            },
            ..Limits::default()
        };
        for (permitted, excluded, allows) in [
            (&["other", "td"][..], &[][..], true),
            (&["other"], &[], false),
            (&["td"], &["td"], false),
            (&[], &["other"], true),
            (&[], &["spiffe://other"], false),
            (&["spiffe://td"], &[], false),
        ] {
            let limits = sides(permitted, excluded);
            assert_eq!(limits.allow_uri("spiffe://td/x"), allows, "{limits:?}");
            assert!(!limits.allow_uri("urn:x"));
        }
    }

    #[test]
    fn a_directory_name_is_below_what_it_begins_with() {
        let name = |text: &str| text.parse::<Name>().unwrap();
        // Written as RFC 4514 has it, the last part first.
        for (base, below, covers) in [
            ("O=Acme,C=DE", "CN=x,O=Acme,C=DE", true),
            ("O=Acme,C=DE", "CN=x,O=ACME ,C=DE", true),
            ("O=Acme  Corp,C=DE", "O=acme corp,C=DE", true),
            ("O=Acme,C=DE", "O=Acme", false),
            ("O=Acme,C=DE", "CN=x,O=Other,C=DE", false),
            ("O=Acme,C=DE", "CN=x,OU=Acme,C=DE", false),
            ("O=Acme", "C=DE,O=Acme", true),
        ] {
            assert_eq!(
                covers_name(&name(base), &name(below)),
                Some(covers),
                "{base} {below}"
            );
        }
    }
}
