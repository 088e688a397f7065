//! What is to be redirected, and the rules that do it.

use std::fmt::{self, Display};
use std::net::Ipv6Addr;

use ipnet::{IpNet, Ipv6Net};

use super::iptables::Family;
use super::rule::{Matched, Ports, Rule};
use super::table::{Direction, Table};

/// What is to be redirected; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub outbound: Option<Outbound>,
    pub inbound: Option<Inbound>,
}

/// What processes here send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outbound {
    pub port: u16,
    pub proxy_uid: u32,
    pub exclude_uids: Vec<u32>,
    pub exclude_cidrs: Vec<IpNet>,
    pub exclude_ports: Vec<Ports>,
}

/// What comes from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inbound {
    pub port: u16,
    /// Empty: all but the excluded ones.
    pub ports: Vec<Ports>,
    pub exclude_ports: Vec<Ports>,
}

/// `fe80::/10`. A connection to such an address that is redirected gets no answer.
pub(super) const LINK_LOCAL: IpNet = IpNet::V6(Ipv6Net::new_assert(
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0),
    10,
));

impl Plan {
    /// The rules of our chain. None where there is to be no such chain.
    pub fn rules(&self, direction: Direction, family: Family) -> Option<Vec<Rule>> {
        let mut rules = match direction {
            Direction::Outbound => self.outbound.as_ref()?.rules(family),
            Direction::Inbound => self.inbound.as_ref()?.rules(),
        };
        if family == Family::V6 {
            rules.insert(0, Rule::Leave(Matched::To(LINK_LOCAL)));
        }
        Some(rules)
    }

    /// What iptables-restore is to be given, with `--noflush`, to get from what is there to this plan in one step.
    pub fn script(&self, family: Family, now: &Table) -> String {
        let mut lines = vec!["*nat".to_owned()];
        let directions =
            Direction::BOTH.map(|direction| (direction, self.rules(direction, family)));
        // Declaring a chain makes it, or empties it.
        for (direction, rules) in &directions {
            if rules.is_some() {
                lines.push(format!(":{} - [0:0]", direction.chain()));
            }
        }
        for (direction, rules) in &directions {
            let (chain, jump) = (direction.chain(), direction.jump());
            let wanted = usize::from(rules.is_some());
            let jumps = now.jumps(*direction);
            for rule in rules.iter().flatten() {
                lines.push(format!("-A {chain} {rule}"));
            }
            for _ in jumps..wanted {
                lines.push(format!("-A {jump}"));
            }
            for _ in wanted..jumps {
                lines.push(format!("-D {jump}"));
            }
            if rules.is_none() && now.has(*direction) {
                lines.extend([format!("-F {chain}"), format!("-X {chain}")]);
            }
        }
        lines.push("COMMIT\n".to_owned());
        lines.join("\n")
    }

    /// What the rules of one chain redirect, beside what is known already.
    pub fn add(&mut self, direction: Direction, rules: &[Rule]) {
        let port = rules.iter().find_map(|rule| match rule {
            Rule::Redirect { to, .. } => Some(*to),
            Rule::Leave(_) => None,
        });
        let Some(port) = port else { return };
        match direction {
            Direction::Outbound => Outbound::add(&mut self.outbound, port, rules),
            Direction::Inbound => Inbound::add(&mut self.inbound, port, rules),
        }
    }
}

impl Outbound {
    fn rules(&self, family: Family) -> Vec<Rule> {
        let users = std::iter::once(&self.proxy_uid).chain(&self.exclude_uids);
        let users = users.map(|uid| Matched::Uid(*uid));
        let networks = self.exclude_cidrs.iter();
        let networks =
            networks.filter(|network| network.addr().is_ipv6() == (family == Family::V6));
        let networks = networks.map(|network| Matched::To(*network));
        let ports = self.exclude_ports.iter();
        let ports = ports.map(|ports| Matched::Ports(*ports));
        let left = users
            .chain([Matched::Loopback])
            .chain(networks)
            .chain(ports);
        let all = Rule::Redirect {
            only: None,
            to: self.port,
        };
        left.map(Rule::Leave).chain([all]).collect()
    }

    fn add(known: &mut Option<Self>, port: u16, rules: &[Rule]) {
        let mut seen = Outbound {
            port,
            proxy_uid: 0,
            exclude_uids: Vec::new(),
            exclude_cidrs: known
                .take()
                .map(|known| known.exclude_cidrs)
                .unwrap_or_default(),
            exclude_ports: Vec::new(),
        };
        for rule in rules {
            match rule {
                Rule::Leave(Matched::Uid(uid)) => seen.exclude_uids.push(*uid),
                Rule::Leave(Matched::To(network)) if *network != LINK_LOCAL => {
                    seen.exclude_cidrs.push(*network);
                }
                Rule::Leave(Matched::Ports(ports)) => seen.exclude_ports.push(*ports),
                _ => {}
            }
        }
        if !seen.exclude_uids.is_empty() {
            // The proxy's comes first.
            seen.proxy_uid = seen.exclude_uids.remove(0);
        }
        *known = Some(seen);
    }
}

impl Inbound {
    fn rules(&self) -> Vec<Rule> {
        let left = self.exclude_ports.iter();
        let left = left.map(|ports| Rule::Leave(Matched::Ports(*ports)));
        let to = self.port;
        let mut rules: Vec<Rule> = left.collect();
        if self.ports.is_empty() {
            rules.push(Rule::Redirect { only: None, to });
        }
        rules.extend(self.ports.iter().map(|ports| Rule::Redirect {
            only: Some(*ports),
            to,
        }));
        rules
    }

    fn add(known: &mut Option<Self>, port: u16, rules: &[Rule]) {
        let mut seen = Inbound {
            port,
            ports: Vec::new(),
            exclude_ports: Vec::new(),
        };
        for rule in rules {
            match rule {
                Rule::Redirect {
                    only: Some(ports), ..
                } => seen.ports.push(*ports),
                Rule::Leave(Matched::Ports(ports)) => seen.exclude_ports.push(*ports),
                _ => {}
            }
        }
        *known = Some(seen);
    }
}

/// As the command line that installs it.
impl Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outrigger redirect install")?;
        if let Some(outbound) = &self.outbound {
            let (port, uid) = (outbound.port, outbound.proxy_uid);
            write!(f, " --outbound-port {port} --proxy-uid {uid}")?;
            list(f, "exclude-uids", &outbound.exclude_uids)?;
            list(f, "exclude-outbound-cidrs", &outbound.exclude_cidrs)?;
            list(f, "exclude-outbound-ports", &outbound.exclude_ports)?;
        }
        if let Some(inbound) = &self.inbound {
            write!(f, " --inbound-port {}", inbound.port)?;
            list(f, "inbound-ports", &inbound.ports)?;
            list(f, "exclude-inbound-ports", &inbound.exclude_ports)?;
        }
        Ok(())
    }
}

fn list(f: &mut fmt::Formatter<'_>, option: &str, values: &[impl Display]) -> fmt::Result {
    if values.is_empty() {
        return Ok(());
    }
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    write!(f, " --{option} {}", values.join(","))
}
