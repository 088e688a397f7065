//! Config values that more than one room uses: durations, sizes, names, secrets, switches.

pub mod captures;
mod duration;
pub mod exposition;
mod from_text;
mod header_name;
mod name;
mod network;
mod not_built;
mod one_or_many;
mod padding;
pub mod problem;
pub mod regular;
mod relative;
mod secret;
mod size;
pub mod template;
mod toggle;
mod wrong;

pub use duration::{Duration, Limit};
pub use from_text::{text, text_or_table, variable_in};
pub use header_name::read_header_name;
pub use name::Name;
pub use network::{Network, networks};
pub use not_built::{NOT_BUILT, NotBuilt};
pub use one_or_many::OneOrMany;
pub use padding::unpadded;
pub use relative::{
    DirectoryPath, FilePath, LONGEST_SOCKET_PATH, Relative, relative_to_file, text_relative_to_file,
};
pub use secret::{CREDENTIALS, REDACTED, SECRET, Secret, SecretText, names_a_secret};
pub use size::ByteSize;
pub use template::FieldName;
pub use toggle::Toggle;
pub use wrong::Wrong;
