//! `/etc/hosts`: an address on each line, and the names that have it.

use std::collections::HashMap;
use std::net::IpAddr;

use super::odd_lines::OddLines;

/// Addresses by name, in lower case and without a dot at the end.
pub type Hosts = HashMap<String, Vec<IpAddr>>;

/// Reads the text of a hosts file. A line that makes no sense costs nothing but itself.
pub fn parse(text: &[u8], odd: &mut OddLines) -> Hosts {
    let mut hosts = Hosts::new();
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let line = String::from_utf8_lossy(line);
        let mut words = line
            .trim_start_matches('\u{feff}')
            .split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        let Some(first) = words.next() else {
            continue;
        };
        let Ok(address) = first.parse::<IpAddr>() else {
            odd.note(number, format!("`{first}` is not an IP address"));
            continue;
        };
        for name in words {
            if name.contains(char::REPLACEMENT_CHARACTER) {
                odd.note(number, format!("`{name}` is not UTF-8"));
                continue;
            }
            let addresses = hosts.entry(key(name)).or_default();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    hosts
}

/// How a name is looked up.
pub fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &[u8]) -> (Hosts, Vec<usize>) {
        let mut odd = OddLines::default();
        let hosts = parse(text, &mut odd);
        (hosts, odd.numbers())
    }

    #[test]
    fn a_name_has_all_its_addresses() {
        let text =
            b"127.0.0.1 localhost # me\n\n10.0.0.1\tApp other.\r\n10.0.0.2 app\nfd00::1 app\n";
        let (hosts, odd) = parsed(text);
        let addresses =
            |name: &str| -> Vec<String> { hosts[name].iter().map(IpAddr::to_string).collect() };
        assert_eq!(addresses("app"), ["10.0.0.1", "10.0.0.2", "fd00::1"]);
        assert_eq!(addresses("other"), ["10.0.0.1"]);
        assert_eq!(addresses("localhost"), ["127.0.0.1"]);
        assert!(odd.is_empty());
    }

    #[test]
    fn an_odd_line_costs_nothing_but_itself() {
        let (hosts, odd) = parsed(
            b"10.0.0.1 app # caf\xe9\n10.0.0.2 b\xe9ta beta\nfe80::1%eth0 link\n10.0.0 short\n10.0.0.3 last",
        );
        let mut names: Vec<&str> = hosts.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["app", "beta", "last"]);
        assert_eq!(odd, [2, 3, 4]);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_address() {
        let (hosts, odd) = parsed("\u{feff}10.0.0.1 app\n".as_bytes());
        assert!(hosts.contains_key("app"));
        assert!(odd.is_empty());
    }
}
