//! Looking into DER where no type of a library fits.

use x509_cert::der::asn1::AnyRef;
use x509_cert::der::{Decode, Error, ErrorKind, Reader, SliceReader};

/// What stands inside a value.
pub(super) fn inside<'a>(part: &AnyRef<'a>) -> Result<Vec<AnyRef<'a>>, Error> {
    children(part.value())
}

/// The values that stand one behind the other.
pub(super) fn children(der: &[u8]) -> Result<Vec<AnyRef<'_>>, Error> {
    let mut reader = SliceReader::new(der)?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(AnyRef::decode(&mut reader)?);
    }
    Ok(found)
}

pub(super) fn first<'b, 'a>(parts: &'b [AnyRef<'a>]) -> Result<&'b AnyRef<'a>, Error> {
    parts.first().ok_or_else(unfit)
}

/// The first value with its tag and length.
pub(super) fn first_whole(der: &[u8]) -> Result<&[u8], Error> {
    SliceReader::new(der)?.tlv_bytes()
}

pub(super) fn unfit() -> Error {
    ErrorKind::Failed.into()
}
