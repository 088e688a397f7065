//! Where the rows of a statement go.

#[cfg(any(feature = "mysql", feature = "postgres"))]
use super::Failure;
use super::{Output, Table};

/// The largest row of a [`Table`], in bytes: it is for whoever writes the statements to see to it that rows are smaller.
#[cfg(any(feature = "mysql", feature = "postgres"))]
const LARGEST_ROW: usize = 256 << 20;

pub(super) enum Sink<'a> {
    Json(&'a mut Output),
    Table(&'a mut Table),
    /// Nobody wants them.
    Nowhere,
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
impl Sink<'_> {
    /// The most bytes that the next row may have.
    pub fn room(&self) -> usize {
        match self {
            Sink::Json(output) if output.wants_rows() => output.room(),
            Sink::Table(_) => LARGEST_ROW,
            _ => 0,
        }
    }

    /// A row has more than that.
    pub fn too_long(&self) -> Failure {
        match self {
            Sink::Json(output) => output.too_many_bytes(),
            _ => Failure::TooLarge("a row is too long".to_owned()),
        }
    }
}
