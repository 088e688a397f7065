//! Behaviour of the whole proxy, seen from outside: one file per behaviour, each test a sentence.
//!
//! Every test starts its own proxy as a process, on free ports, with its own origins; see `support`.

mod support;
mod support_itself;
