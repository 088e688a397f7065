//! The numbers that PostgreSQL has for its own types (`pg_type.dat`).

use crate::database::Type;
use crate::database::types::Scalar as S;

/// By which a parameter is declared; 0 leaves it to the server.
pub(super) fn of(declared: Type) -> u32 {
    let (single, list) = match declared.scalar {
        S::Bool => (16, 1000),
        S::Int2 => (21, 1005),
        S::Int4 => (23, 1007),
        S::Int8 => (20, 1016),
        S::Float4 => (700, 1021),
        S::Float8 => (701, 1022),
        S::Numeric => (1700, 1231),
        S::Text => (25, 1009),
        S::Bytea => (17, 1001),
        S::Json => (114, 199),
        S::Jsonb => (3802, 3807),
        S::Uuid => (2950, 2951),
        S::Date => (1082, 1182),
        S::Time => (1083, 1183),
        S::Timestamp => (1114, 1115),
        S::Timestamptz => (1184, 1185),
        S::Interval => (1186, 1187),
        S::Inet => (869, 1041),
        S::Inferred => (0, 0),
    };
    if declared.is_list { list } else { single }
}

/// How the text of a column's values becomes JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Bool,
    Integer,
    Float,
    Decimal,
    Document,
    Bytes,
    Timestamp,
    /// A list of such.
    List(Member),
    /// Text, whatever it is.
    Text,
}

/// What the members of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Bool,
    Integer,
    Float,
    Decimal,
    Document,
    Bytes,
    Timestamp,
    Text,
}

impl Member {
    pub fn look(self) -> Look {
        match self {
            Member::Bool => Look::Bool,
            Member::Integer => Look::Integer,
            Member::Float => Look::Float,
            Member::Decimal => Look::Decimal,
            Member::Document => Look::Document,
            Member::Bytes => Look::Bytes,
            Member::Timestamp => Look::Timestamp,
            Member::Text => Look::Text,
        }
    }
}

/// Of a column whose type has this number.
pub(super) fn look(number: u32) -> Look {
    match number {
        16 => Look::Bool,
        20 | 21 | 23 | 26 => Look::Integer,
        700 | 701 => Look::Float,
        1700 => Look::Decimal,
        114 | 3802 => Look::Document,
        17 => Look::Bytes,
        1114 | 1184 => Look::Timestamp,
        1000 => Look::List(Member::Bool),
        1005 | 1007 | 1016 | 1028 => Look::List(Member::Integer),
        1021 | 1022 => Look::List(Member::Float),
        1231 => Look::List(Member::Decimal),
        199 | 3807 => Look::List(Member::Document),
        1001 => Look::List(Member::Bytes),
        1115 | 1185 => Look::List(Member::Timestamp),
        // text, varchar, char, bpchar, name, uuid, date, time, timetz, interval, inet, cidr, macaddr, money, bit, varbit, xml
        1009 | 1015 | 1002 | 1014 | 1003 | 2951 | 1182 | 1183 | 1270 | 1187 | 1041 | 651 | 1040
        | 791 | 1561 | 1563 | 143 => Look::List(Member::Text),
        _ => Look::Text,
    }
}
