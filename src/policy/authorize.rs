//! `authorize`: who may call.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::stack::{Handler, Policy};
use crate::error::{Error, Reason};
use crate::message::{Request, Response};
use crate::problem::Problems;
use crate::value::{NotBuilt, networks};

/// The caller is not one of those that may call.
pub const FORBIDDEN: Reason = Reason::new("forbidden", 403);

/// `authorize = { cidrs = ["10.0.0.0/8"] }`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default, skip_serializing)]
    pub clients: Option<NotBuilt>,
    /// Networks that may call. A caller on a unix socket has no address and is refused.
    #[serde(deserialize_with = "networks")]
    pub cidrs: Vec<IpNet>,
}

impl Config {
    pub(super) fn check(&self, problems: &mut Problems) {
        if self.cidrs.is_empty() {
            problems
                .error(&["cidrs"], "without a network nobody may call")
                .help("name the networks that may, such as \"10.0.0.0/8\"");
        }
        for (index, cidr) in self.cidrs.iter().enumerate() {
            if *cidr != cidr.trunc() {
                problems
                    .warning(
                        &["cidrs", &index.to_string()],
                        format!("`{cidr}` means the whole of `{}`", cidr.trunc()),
                    )
                    .help("write it so, or end it with /32 (IPv4) or /128 (IPv6) for one address");
            }
        }
    }
}

/// Refuses callers whose address is in none of the networks.
pub(super) struct Authorize {
    cidrs: Vec<IpNet>,
}

impl Authorize {
    pub(super) fn new(config: &Config) -> Self {
        let Config { clients: _, cidrs } = config;
        Authorize {
            cidrs: cidrs.clone(),
        }
    }
}

impl Policy for Authorize {
    async fn apply(
        &self,
        request: Box<Request>,
        next: &dyn Handler,
    ) -> Result<Box<Response>, Error> {
        let client = request.context.client.map(|ip| ip.to_canonical());
        if !client.is_some_and(|ip| self.cidrs.iter().any(|cidr| cidr.contains(&ip))) {
            return Err(Error::new(FORBIDDEN, "callers from there may not call"));
        }
        next.call(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Echo, request};

    fn config(cidrs: &[&str]) -> Config {
        Config {
            clients: None,
            cidrs: cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect(),
        }
    }

    async fn allowed(cidrs: &[&str], client: Option<&str>) -> bool {
        let mut request = request("GET", "/");
        request.context.client = client.map(|ip| ip.parse().unwrap());
        match Authorize::new(&config(cidrs)).apply(request, &Echo).await {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.reason(), FORBIDDEN);
                false
            }
        }
    }

    #[tokio::test]
    async fn only_callers_of_these_networks_pass() {
        let cidrs = &["10.0.0.0/8", "2001:db8::/32"];
        assert!(allowed(cidrs, Some("10.1.2.3")).await);
        assert!(allowed(cidrs, Some("::ffff:10.1.2.3")).await);
        assert!(allowed(cidrs, Some("2001:db8::1")).await);
        assert!(!allowed(cidrs, Some("11.0.0.1")).await);
        assert!(!allowed(cidrs, Some("::1")).await);
    }

    #[tokio::test]
    async fn a_caller_without_address_is_refused() {
        assert!(!allowed(&["0.0.0.0/0", "::/0"], None).await);
    }

    #[test]
    fn doubtful_networks_are_told() {
        let mut problems = Problems::default();
        config(&[]).check(&mut problems);
        assert!(problems.has_errors());
        let mut problems = Problems::default();
        config(&["10.0.0.0/8", "10.0.0.1/8", "10.0.0.1/32"]).check(&mut problems);
        let found = problems.into_vec();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].at, ["cidrs", "1"]);
    }
}
