//! What is said to the server, beside values.

pub(super) const QUIT: u8 = 0x01;
pub(super) const QUERY: u8 = 0x03;
pub(super) const PREPARE: u8 = 0x16;
pub(super) const EXECUTE: u8 = 0x17;
pub(super) const CLOSE: u8 = 0x19;
pub(super) const RESET: u8 = 0x1f;

/// Flags of what both sides can do. Files of this process are never asked for, and a command is one statement.
pub(super) mod flags {
    /// How many rows a statement has found counts, whether or not they had the values before.
    pub const FOUND_ROWS: u64 = 1 << 1;
    pub const LONG_FLAG: u64 = 1 << 2;
    pub const WITH_DATABASE: u64 = 1 << 3;
    pub const PROTOCOL_41: u64 = 1 << 9;
    pub const TLS: u64 = 1 << 11;
    pub const TRANSACTIONS: u64 = 1 << 13;
    pub const SECURE: u64 = 1 << 15;
    pub const MULTI_RESULTS: u64 = 1 << 17;
    pub const PREPARED_MULTI_RESULTS: u64 = 1 << 18;
    pub const PLUGINS: u64 = 1 << 19;
    pub const ATTRIBUTES: u64 = 1 << 20;
    /// Rows end with an `OK`.
    pub const NO_EOF: u64 = 1 << 24;
    /// MariaDB's: what a column holds beyond its type, as JSON.
    pub const METADATA: u64 = 1 << 35;

    pub const NEEDED: u64 = PROTOCOL_41 | SECURE | PLUGINS;
    pub const WANTED: u64 = NEEDED
        | FOUND_ROWS
        | LONG_FLAG
        | TRANSACTIONS
        | MULTI_RESULTS
        | PREPARED_MULTI_RESULTS
        | ATTRIBUTES
        | NO_EOF
        | METADATA;
}
