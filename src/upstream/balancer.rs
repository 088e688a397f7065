//! Which endpoint takes the next request.

use serde::{Deserialize, Serialize};

/// `balancer`
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum BalancerConfig {
    #[default]
    PeakEwma,
    LeastRequest,
    RoundRobin,
    Random,
    Hash(String),
}
