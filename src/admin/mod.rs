//! `[admin]`: the API through which people and their tools look at the proxy and steer it.
//!
//! [`bind`] takes the address, a router says what is answered ([`api`] to its operators, [`probes`] to kubelet
//! and Prometheus), [`serve`] brings the two together, over [`Tls`] where that is wanted. What they tell and change is behind [`Proxy`].

mod address;
mod answer;
mod bind;
mod body;
mod config;
mod configs;
mod explaining;
#[cfg(test)]
pub(crate) mod fake;
mod guard;
mod hyper_io;
mod index;
mod metrics;
mod orders;
mod page;
mod proxy;
mod registering;
mod registration;
mod relays;
mod requests;
mod router;
mod secure;
mod serve;
mod subscriptions;

pub use address::AdminAddress;
pub use bind::{Bound, bind};
pub use config::{Checked, Config};
pub use proxy::{NotCarriedOut, Proxy, Relay, ReloadOutcome, Subscription};
pub use registration::{Condition, Format, Kind, NotRegistered, Registered, Registration, Tags};
pub use router::{api, probes};
pub use secure::Tls;
pub use serve::serve;
