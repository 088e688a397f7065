//! Names of headers that no message may have from outside.

/// Names that a broker or this proxy takes orders or facts from, in lower case, or what such names begin with.
const RESERVED: [&str; 12] = [
    "bcc",
    "cc",
    "content-type",
    "nats-",
    "outrigger-",
    "x-death",
    "x-delay",
    "x-delivery-",
    "x-first-death-",
    "x-last-death-",
    "x-opt-",
    "x-stream-",
];

/// Whether a header of this name, which is in lower case, means something to brokers or to this proxy.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|reserved| {
        if reserved.ends_with('-') {
            name.starts_with(reserved)
        } else {
            name == *reserved
        }
    })
}
