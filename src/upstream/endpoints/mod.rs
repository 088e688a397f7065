//! The endpoints of an upstream: what the config names, the addresses found for it, and the list that serves.

pub mod address;
pub mod discovery;
pub mod endpoint;
pub mod entry;
pub mod hosts_file;
pub mod knowledge;
pub mod list;
pub mod name_servers;
pub mod odd_lines;
pub mod reread;
pub mod resolv_conf;
pub mod resolve;
pub mod search;
pub mod set;
pub mod system_resolver;
pub mod transport;

#[cfg(test)]
mod tests;
