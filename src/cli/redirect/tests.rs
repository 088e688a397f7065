use clap::Parser;

use super::iptables::{Family, name};
use super::plan::Plan;
use super::table::{Direction, Seen, Table};
use super::{Action, Redirect, show};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    redirect: Redirect,
}

fn parse(line: &str) -> Result<Plan, clap::Error> {
    let line = Line::try_parse_from(line.split(' ').skip(1))?;
    match line.redirect.action {
        Action::Install(install) => Ok(install.plan()),
        _ => Ok(Plan::default()),
    }
}

fn plan(options: &str) -> Plan {
    parse(&format!("outrigger redirect install {options}")).unwrap()
}

/// What iptables shows after it was given `script`, as it is written by one who knows only what we send.
fn shown(script: &str) -> String {
    let lines = script
        .lines()
        .filter_map(|line| match line.split_once(' ') {
            Some((chain, _)) if line.starts_with(':') => Some(format!("-N {}", &chain[1..])),
            Some(("-A", _)) => Some(line.to_owned()),
            _ => None,
        });
    lines.collect::<Vec<_>>().join("\n")
}

const MUCH: &str = "--outbound-port 15001 --proxy-uid 1337 --exclude-uids 0,7 \
                    --exclude-outbound-cidrs 10.0.0.0/8,fd00::/8 --exclude-outbound-ports 22,8000-8010 \
                    --inbound-port 15006 --exclude-inbound-ports 15020,9000-9001";

#[test]
fn outbound_leaves_the_proxy_loopback_and_what_is_excluded_alone() {
    let script = plan(MUCH).script(Family::V4, &Table::default());
    assert_eq!(
        script,
        "*nat
:OUTRIGGER_OUTBOUND - [0:0]
:OUTRIGGER_INBOUND - [0:0]
-A OUTRIGGER_OUTBOUND -m owner --uid-owner 1337 -j RETURN
-A OUTRIGGER_OUTBOUND -m owner --uid-owner 0 -j RETURN
-A OUTRIGGER_OUTBOUND -m owner --uid-owner 7 -j RETURN
-A OUTRIGGER_OUTBOUND -o lo -j RETURN
-A OUTRIGGER_OUTBOUND -d 10.0.0.0/8 -j RETURN
-A OUTRIGGER_OUTBOUND -p tcp -m tcp --dport 22 -j RETURN
-A OUTRIGGER_OUTBOUND -p tcp -m tcp --dport 8000:8010 -j RETURN
-A OUTRIGGER_OUTBOUND -p tcp -j REDIRECT --to-ports 15001
-A OUTPUT -p tcp -j OUTRIGGER_OUTBOUND
-A OUTRIGGER_INBOUND -p tcp -m tcp --dport 15020 -j RETURN
-A OUTRIGGER_INBOUND -p tcp -m tcp --dport 9000:9001 -j RETURN
-A OUTRIGGER_INBOUND -p tcp -j REDIRECT --to-ports 15006
-A PREROUTING -p tcp -j OUTRIGGER_INBOUND
COMMIT
"
    );
}

#[test]
fn ipv6_leaves_link_local_alone_first() {
    let script = plan("--inbound-port 15006 --inbound-ports 80,8080-8090")
        .script(Family::V6, &Table::default());
    assert_eq!(
        script,
        "*nat
:OUTRIGGER_INBOUND - [0:0]
-A OUTRIGGER_INBOUND -d fe80::/10 -j RETURN
-A OUTRIGGER_INBOUND -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 15006
-A OUTRIGGER_INBOUND -p tcp -m tcp --dport 8080:8090 -j REDIRECT --to-ports 15006
-A PREROUTING -p tcp -j OUTRIGGER_INBOUND
COMMIT
"
    );
}

#[test]
fn a_second_installation_replaces_the_first() {
    let first = plan(MUCH).script(Family::V4, &Table::default());
    let there = Table::new(&shown(&first));
    let again = plan(MUCH).script(Family::V4, &there);
    let jumps = |script: &str| script.matches("-j OUTRIGGER_").count();
    assert_eq!((jumps(&first), jumps(&again)), (2, 0), "{again}");
    assert!(again.contains(":OUTRIGGER_OUTBOUND - [0:0]"), "{again}");
    let other = plan("--outbound-port 1").script(Family::V4, &there);
    let removed =
        "-D PREROUTING -p tcp -j OUTRIGGER_INBOUND\n-F OUTRIGGER_INBOUND\n-X OUTRIGGER_INBOUND\n";
    assert!(other.contains(removed), "{other}");
}

#[test]
fn removal_takes_every_jump_and_each_chain() {
    let mut text = shown(&plan("--outbound-port 1").script(Family::V4, &Table::default()));
    text.push_str("\n-A OUTPUT -p tcp -j OUTRIGGER_OUTBOUND\n-A OUTPUT -j SOMEBODY");
    let script = Plan::default().script(Family::V4, &Table::new(&text));
    assert_eq!(
        script,
        "*nat
-D OUTPUT -p tcp -j OUTRIGGER_OUTBOUND
-D OUTPUT -p tcp -j OUTRIGGER_OUTBOUND
-F OUTRIGGER_OUTBOUND
-X OUTRIGGER_OUTBOUND
COMMIT
"
    );
}

#[test]
fn what_is_installed_is_said_in_words_and_by_its_options() {
    let tables = [Family::V4, Family::V6].map(|family| {
        let script = plan(MUCH).script(family, &Table::default());
        (family.to_string(), Table::new(&shown(&script)))
    });
    let text = show::text(&tables);
    for line in [
        "IPv4:",
        "    left alone: what user 1337 sends",
        "    left alone: what this machine sends to itself",
        "    left alone: what goes to fe80::/10",
        "    left alone: what goes to port 8000-8010",
        "    to port 15001: all else",
        "UDP is left alone",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
    let by = text
        .lines()
        .last()
        .unwrap()
        .strip_prefix("as by: ")
        .unwrap();
    assert_eq!(parse(by).unwrap(), plan(MUCH));
}

#[test]
fn what_others_did_to_our_chains_is_said() {
    let text = "-N OUTRIGGER_OUTBOUND\n-A OUTRIGGER_OUTBOUND -s 1.2.3.4/32 -j ACCEPT";
    let table = Table::new(text);
    assert!(matches!(
        table.rules(Direction::Outbound)[..],
        [Seen::Foreign("-s 1.2.3.4/32 -j ACCEPT")]
    ));
    let text = show::text(&[("IPv4".to_owned(), table)]);
    assert!(text.contains("not in use"), "{text}");
    assert!(text.contains("not ours: -s 1.2.3.4/32 -j ACCEPT"), "{text}");
    assert_eq!(show::text(&[]), "nothing is installed here");
}

#[test]
fn options_that_mean_nothing_are_refused() {
    for (options, says) in [
        ("", "--outbound-port"),
        ("--proxy-uid 5", "--outbound-port"),
        ("--outbound-port 0", "1..=65535"),
        ("--outbound-port 1 --inbound-ports 2", "--inbound-port"),
        ("--inbound-port 1 --exclude-uids 2", "--outbound-port"),
        (
            "--outbound-port 1 --exclude-outbound-ports 9-8",
            "a range such as",
        ),
        (
            "--outbound-port 1 --exclude-outbound-ports 0",
            "a port such as",
        ),
        (
            "--outbound-port 1 --exclude-outbound-cidrs 10.0.0.0/33",
            "a network such as",
        ),
        (
            "--inbound-port 1 --inbound-ports 2 --exclude-inbound-ports 3",
            "cannot be used with",
        ),
        (
            "--outbound-port 1 --iptables nft",
            "must begin with `iptables`",
        ),
    ] {
        let line = format!("outrigger redirect install {options}");
        let error = parse(line.trim_end()).expect_err(options).to_string();
        assert!(error.contains(says), "{options}: {error}");
    }
}

#[test]
fn an_address_alone_is_a_network_and_host_bits_are_dropped() {
    let script = plan("--outbound-port 1 --exclude-outbound-cidrs 10.1.2.3,10.1.2.3/8")
        .script(Family::V4, &Table::default());
    assert!(script.contains("-d 10.1.2.3/32 -j RETURN"), "{script}");
    assert!(script.contains("-d 10.0.0.0/8 -j RETURN"), "{script}");
}

#[test]
fn a_program_s_name_tells_those_of_its_family() {
    assert!(name("/usr/sbin/iptables-legacy").is_ok());
    assert!(name("/usr/sbin/nft").is_err());
}
