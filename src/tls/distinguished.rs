//! Distinguished names as text (RFC 4514).
//!
//! The library's own way to write them brings the names of a thousand types along, which would be 40 KiB of memory in every
//! process.

use std::fmt::{self, Write as _};

use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::{Encode, Tag, Tagged};
use x509_cert::name::Name;

/// `CN=app,O=Acme`: its parts, the last first (RFC 4514, section 2.1).
pub(super) fn text(name: &Name) -> String {
    let mut text = String::new();
    // What cannot be written is left out: it is for people to read.
    let _written = write_name(&mut text, name);
    text
}

fn write_name(text: &mut String, name: &Name) -> fmt::Result {
    let parts: Vec<_> = name.iter_rdn().collect();
    for (place, part) in parts.into_iter().rev().enumerate() {
        if place > 0 {
            text.push(',');
        }
        for (place, attribute) in part.iter().enumerate() {
            if place > 0 {
                text.push('+');
            }
            write_attribute(text, attribute)?;
        }
    }
    Ok(())
}

/// Its type and its value, or both in numbers where one of them is not known (RFC 4514, sections 2.3 and 2.4).
fn write_attribute(text: &mut String, attribute: &AttributeTypeAndValue) -> fmt::Result {
    let oid = attribute.oid.to_string();
    if let (Some(kind), Some(value)) = (short(&oid), value(attribute)) {
        write!(text, "{kind}=")?;
        return write_escaped(text, value);
    }
    write!(text, "{oid}=#")?;
    for byte in attribute.value.to_der().map_err(|_| fmt::Error)? {
        write!(text, "{byte:02x}")?;
    }
    Ok(())
}

fn value(attribute: &AttributeTypeAndValue) -> Option<&str> {
    let value = &attribute.value;
    match value.tag() {
        Tag::PrintableString => PrintableStringRef::try_from(value).ok().map(|s| s.as_str()),
        Tag::Utf8String => Utf8StringRef::try_from(value).ok().map(|s| s.as_str()),
        Tag::Ia5String => Ia5StringRef::try_from(value).ok().map(|s| s.as_str()),
        Tag::TeletexString => TeletexStringRef::try_from(value).ok().map(|s| s.as_str()),
        _ => None,
    }
}

fn write_escaped(text: &mut String, value: &str) -> fmt::Result {
    let last = value.chars().count().saturating_sub(1);
    for (place, c) in value.chars().enumerate() {
        match c {
            '#' if place == 0 => text.push_str("\\#"),
            ' ' if place == 0 || place == last => text.push_str("\\ "),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', c]),
            '\x00'..='\x1f' | '\x7f' => write!(text, "\\{:02x}", u32::from(c))?,
            _ => text.push(c),
        }
    }
    Ok(())
}

/// What a type is called (RFC 4519, section 2, and RFC 2985, section 5.2.1).
fn short(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "EMAIL",
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "SERIALNUMBER",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "TITLE",
        "2.5.4.13" => "DESCRIPTION",
        "2.5.4.15" => "BUSINESSCATEGORY",
        "2.5.4.16" => "POSTALADDRESS",
        "2.5.4.17" => "POSTALCODE",
        "2.5.4.18" => "POSTOFFICEBOX",
        "2.5.4.20" => "TELEPHONENUMBER",
        "2.5.4.41" => "NAME",
        "2.5.4.42" => "GN",
        "2.5.4.43" => "INITIALS",
        "2.5.4.44" => "GENERATIONQUALIFIER",
        "2.5.4.45" => "X500UNIQUEIDENTIFIER",
        "2.5.4.46" => "DNQUALIFIER",
        "2.5.4.51" => "HOUSEIDENTIFIER",
        "2.5.4.65" => "PSEUDONYM",
        "2.5.4.97" => "ORGANIZATIONIDENTIFIER",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The library's text is the expected one, where it knows the type.
    #[test]
    fn a_name_is_written_as_the_library_would() {
        let types = [
            "0.9.2342.19200300.100.1.1",
            "0.9.2342.19200300.100.1.25",
            "1.2.840.113549.1.9.1",
            "1.3.6.1.4.1.1466.0",
        ];
        let types = types.map(str::to_owned).into_iter();
        let types = types.chain((3..=65).map(|number| format!("2.5.4.{number}")));
        for kind in types.filter(|kind| short(kind).is_some() || kind.starts_with("1.3")) {
            // UTF8String, of two letters.
            let name: Name = format!("{kind}=#0c024869").parse().unwrap();
            assert_eq!(text(&name), name.to_string(), "{kind}");
        }
        for name in [
            "OU=Sales+CN=J.  Smith,DC=example,DC=net",
            r#"CN=James \"Jim\" Smith\, III,O=a"#,
            r"CN=Before\0dAfter,C=US,1.2.3.4=#04024869",
            // ` a `, `#a` and `<Ä\>`.
            "2.5.4.3=#0c03206120,2.5.4.10=#0c022361,2.5.4.11=#0c053cc3845c3e",
        ] {
            let name: Name = name.parse().unwrap();
            assert_eq!(text(&name), name.to_string());
        }
    }

    #[test]
    fn a_type_that_the_library_does_not_know_is_named() {
        let name: Name = "2.5.4.97=#0c024869".parse().unwrap();
        assert_eq!(text(&name), "ORGANIZATIONIDENTIFIER=Hi");
    }
}
