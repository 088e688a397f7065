//! `authorize`: who may call.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::build::Build;
use super::jwt;
use super::stack::Filter;
use super::table::{Block, Blocks, FromBlocks, Summary};
use crate::http::error::{Error, Reason};
use crate::http::exchange::Exchange;
use crate::http::message::Request;
use crate::value::networks;
use crate::value::problem::Problems;

mod claims;
mod client;
mod refusal;

pub(super) use claims::AuthorizeClaims;
pub use claims::ClaimsConfig;
pub use client::ClientPattern;
pub use refusal::FORBIDDEN;

/// `authorize = { clients = ["spiffe://td/ns/x/sa/y"], cidrs = ["10.0.0.0/8"], claims = { role = ["admin"] } }`: all that
/// is given must hold.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Identities that may call, proven by a certificate: `"spiffe://td/ns/x/sa/y"`, `"spiffe://td/ns/x/*"` for all
    /// below, `"dns:svc.example"`, `"dns:*.example"`, or `"*"` for whoever has proven any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<Vec<ClientPattern>>,
    /// Networks that may call. A caller on a unix socket has no address and is refused.
    #[serde(
        default,
        deserialize_with = "some_networks",
        skip_serializing_if = "Option::is_none"
    )]
    pub cidrs: Option<Vec<IpNet>>,
    /// What the caller's token must say, judged right after `jwt`: of each claim one of these values, or one of its
    /// members if it is a list. `a.b` is the member `b` of the claim `a`.
    #[serde(default, skip_serializing_if = "ClaimsConfig::is_empty")]
    pub claims: ClaimsConfig,
}

fn some_networks<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<Vec<IpNet>>, D::Error> {
    networks(from).map(Some)
}

impl Block for Config {
    const REASONS: &[Reason] = &[FORBIDDEN];

    fn check(&self, problems: &mut Problems) {
        for (claim, _) in self.claims.iter().filter(|(_, values)| values.is_empty()) {
            problems
                .error(&["claims", claim], "without a value nobody may call")
                .help("write the values of which one must be there");
        }
        if self.clients.is_none() && self.cidrs.is_none() && self.claims.is_empty() {
            problems
                .error(&[], "this does not say who may call")
                .help("name callers under `clients`, networks under `cidrs`, or what a token must say under `claims`");
        }
        if self.clients.as_ref().is_some_and(Vec::is_empty) {
            problems
                .error(&["clients"], "without a caller nobody may call")
                .help("name those that may, such as \"spiffe://td/ns/x/sa/y\", or \"*\" for whoever has an identity");
        }
        if self.cidrs.as_ref().is_some_and(Vec::is_empty) {
            problems
                .error(&["cidrs"], "without a network nobody may call")
                .help("name the networks that may, such as \"10.0.0.0/8\"");
        }
        for (index, cidr) in self.cidrs.iter().flatten().enumerate() {
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

    fn check_beside(&self, others: &Blocks<'_>, problems: &mut Problems) {
        if !self.claims.is_empty() && others.on::<jwt::Config>().is_none() {
            problems
                .error(
                    &["claims"],
                    "claims are those of a verified token, and the route has no `jwt`",
                )
                .help("set `jwt` on the route or in `[defaults]`");
        }
    }

    fn tell(&self, summary: &mut Summary) {
        if self.clients.is_some() {
            let place = &["authorize", "clients"];
            summary.identities.push((place, "so nobody may call"));
        }
    }
}

/// Refuses callers that are not named, or whose address is in none of the networks.
pub(super) struct Authorize(Config);

impl FromBlocks for AuthorizeClaims {
    fn from_blocks(blocks: &Blocks<'_>, _: &mut Build<'_>) -> Option<Self> {
        AuthorizeClaims::new(&blocks.on::<Config>()?.claims)
    }
}

impl FromBlocks for Authorize {
    fn from_blocks(blocks: &Blocks<'_>, _: &mut Build<'_>) -> Option<Self> {
        Authorize::new(blocks.on()?)
    }
}

impl Authorize {
    /// None when nothing is asked but claims.
    fn new(config: &Config) -> Option<Self> {
        let asks = config.clients.is_some() || config.cidrs.is_some();
        asks.then(|| Authorize(config.clone()))
    }

    fn judge(&self, request: &Request) -> Result<(), Error> {
        let Config {
            clients,
            cidrs,
            claims: _,
        } = &self.0;
        if let Some(cidrs) = cidrs {
            let client = request.context.client.map(|ip| ip.to_canonical());
            if !client.is_some_and(|ip| cidrs.iter().any(|cidr| cidr.contains(&ip))) {
                return Err(Error::new(FORBIDDEN, "callers from there may not call"));
            }
        }
        if let Some(clients) = clients {
            let Some(identity) = request.context.peer.identity() else {
                return Err(Error::new(FORBIDDEN, "callers must prove who they are"));
            };
            if !clients.iter().any(|pattern| pattern.matches(identity)) {
                return Err(Error::new(FORBIDDEN, "this caller may not call")
                    .because(format!("the caller is {}", identity.name())));
            }
        }
        Ok(())
    }
}

impl Filter for Authorize {
    type State<'a> = ();

    fn on_request(&self, request: &mut Request, _: &Exchange<'_>) -> Result<(), Error> {
        self.judge(request)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::http::peer::{Identity, Peer, PeerAddress};
    use crate::policy::stack::Policy;
    use crate::testing::{Echo, next, request};

    fn config(cidrs: &[&str]) -> Config {
        Config {
            clients: None,
            cidrs: Some(cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect()),
            claims: ClaimsConfig::new(),
        }
    }

    async fn allowed(cidrs: &[&str], client: Option<&str>) -> bool {
        let mut request = request("GET", "/");
        request.context.client = client.map(|ip| ip.parse().unwrap());
        match Authorize::new(&config(cidrs))
            .unwrap()
            .apply(request, next(&Echo))
            .await
        {
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

    #[tokio::test]
    async fn only_callers_with_these_identities_pass() {
        let allowed = async |clients: &[&str], identity: Option<Identity>| {
            let config = Config {
                clients: Some(clients.iter().map(|c| c.parse().unwrap()).collect()),
                cidrs: None,
                claims: ClaimsConfig::new(),
            };
            let mut request = request("GET", "/");
            request.context.peer = Arc::new(Peer {
                address: PeerAddress::Unix,
                listener: "in".into(),
                encrypted: true,
                identity,
                source: None,
                original: None,
            });
            let outcome = Authorize::new(&config)
                .unwrap()
                .apply(request, next(&Echo))
                .await;
            outcome.is_ok()
        };
        let app = || Some(Identity::new(Some("spiffe://td/app"), &[], "CN=app"));
        assert!(allowed(&["spiffe://td/web", "spiffe://td/app"], app()).await);
        assert!(allowed(&["*"], app()).await);
        assert!(!allowed(&["spiffe://td/web"], app()).await);
        assert!(!allowed(&["*"], None).await);
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
