//! The options of `outrigger redirect install`.

use std::net::IpAddr;

use clap::{ArgGroup, Args};
use ipnet::IpNet;

use super::With;
use super::plan::{Inbound, Outbound, Plan};
use super::rule::Ports;

#[derive(Args)]
#[command(group = ArgGroup::new("listeners").required(true).multiple(true).args(["outbound_port", "inbound_port"]))]
pub(super) struct Install {
    /// The port of the listener that gets what processes here send
    #[arg(long, value_name = "PORT", value_parser = port())]
    outbound_port: Option<u16>,
    /// The user that the proxy runs as: what it sends is left alone, or it would come back to it
    #[arg(long, value_name = "UID", default_value_t = 65532)]
    proxy_uid: u32,
    /// Other users whose connections are left alone
    #[arg(
        long,
        value_name = "UID,...",
        value_delimiter = ',',
        requires = "outbound_port"
    )]
    exclude_uids: Vec<u32>,
    /// Networks to which connections are left alone
    #[arg(long, value_name = "CIDR,...", value_delimiter = ',', value_parser = network, requires = "outbound_port")]
    exclude_outbound_cidrs: Vec<IpNet>,
    /// Ports to which connections are left alone, each a port or a range such as 8000-8010
    #[arg(
        long,
        value_name = "PORTS,...",
        value_delimiter = ',',
        requires = "outbound_port"
    )]
    exclude_outbound_ports: Vec<Ports>,
    /// The port of the listener that gets what comes from elsewhere. It must not listen on loopback alone: the kernel
    /// sends them to the address of the interface that they came in by
    #[arg(long, value_name = "PORT", value_parser = port())]
    inbound_port: Option<u16>,
    /// Ports whose callers are redirected; without it all
    #[arg(
        long,
        value_name = "PORTS,...",
        value_delimiter = ',',
        requires = "inbound_port"
    )]
    inbound_ports: Vec<Ports>,
    /// Ports whose callers are left alone, such as that of the proxy's admin API
    #[arg(
        long,
        value_name = "PORTS,...",
        value_delimiter = ',',
        requires = "inbound_port",
        conflicts_with = "inbound_ports"
    )]
    exclude_inbound_ports: Vec<Ports>,
    /// Leave IPv6 alone
    #[arg(long)]
    pub no_ipv6: bool,
    /// Print what iptables-restore would be given, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub with: With,
}

impl Install {
    pub fn plan(&self) -> Plan {
        Plan {
            outbound: self.outbound_port.map(|port| Outbound {
                port,
                proxy_uid: self.proxy_uid,
                exclude_uids: self.exclude_uids.clone(),
                exclude_cidrs: self.exclude_outbound_cidrs.clone(),
                exclude_ports: self.exclude_outbound_ports.clone(),
            }),
            inbound: self.inbound_port.map(|port| Inbound {
                port,
                ports: self.inbound_ports.clone(),
                exclude_ports: self.exclude_inbound_ports.clone(),
            }),
        }
    }
}

fn port() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..)
}

/// A network, or an address for itself alone.
fn network(text: &str) -> Result<IpNet, String> {
    let alone = text.parse::<IpAddr>().map(IpNet::from);
    match text.parse::<IpNet>().or(alone) {
        Ok(network) => Ok(network.trunc()),
        Err(_) => Err("expected a network such as 10.0.0.0/8 or fd00::/8".to_owned()),
    }
}
