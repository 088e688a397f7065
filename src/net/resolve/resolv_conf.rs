//! `/etc/resolv.conf`: which name servers to ask, and where to look for names that are not whole.

use std::net::IpAddr;
use std::time::Duration;

use super::odd_lines::OddLines;

/// What the file says, as resolv.conf(5) has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// Whom to ask.
    pub servers: Vec<IpAddr>,
    /// What is appended to a name that is not whole, without dots at the ends; empty for the root.
    pub search: Vec<String>,
    /// A name with so many dots is asked for as it is written first.
    pub ndots: usize,
    /// How long each try may take, and how many there may be.
    pub timeout: Duration,
    pub attempts: usize,
    pub edns0: bool,
}

impl Default for ResolvConf {
    fn default() -> Self {
        ResolvConf {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            edns0: false,
        }
    }
}

/// The C library takes no more of each.
const MOST_NDOTS: usize = 15;
const MOST_SECONDS: usize = 30;
const MOST_ATTEMPTS: usize = 5;

/// Reads the text of the file. A line or a word that makes no sense costs nothing but itself. `host_name` is this
/// machine's: its domain is searched where the file says nothing of that.
pub fn parse(text: &[u8], host_name: &str, odd: &mut OddLines) -> ResolvConf {
    let mut conf = ResolvConf::default();
    let mut search: Option<Vec<String>> = None;
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_start_matches('\u{feff}');
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => match words.next().map(str::parse) {
                Some(Ok(address)) => conf.servers.push(address),
                _ => odd.note(number, format!("`{}` names no IP address", line.trim())),
            },
            // The last of these lines counts.
            Some("search") => search = Some(domains(words, number, odd)),
            Some("domain") => search = Some(domains(words.take(1), number, odd)),
            Some("options") => {
                for option in words {
                    if let Err(why) = conf.set(option) {
                        odd.note(number, why);
                    }
                }
            }
            Some(word) if word.contains(char::REPLACEMENT_CHARACTER) => {
                odd.note(number, "it is not UTF-8".to_owned());
            }
            // `sortlist`, and what other systems have.
            Some(_) | None => {}
        }
    }
    conf.search = search.unwrap_or_else(|| {
        let domain = host_name.split_once('.').map(|(_, domain)| domain);
        domain.and_then(domain_of).into_iter().collect()
    });
    conf
}

impl ResolvConf {
    fn set(&mut self, option: &str) -> Result<(), String> {
        let (name, value) = option.split_once(':').unwrap_or((option, ""));
        let number = |least: usize, most: usize| match value.parse::<usize>() {
            Ok(number) if number >= least => Ok(number.min(most)),
            _ => Err(format!("`{option}` is not a number from {least} on")),
        };
        match name {
            "ndots" => self.ndots = number(0, MOST_NDOTS)?,
            "timeout" => self.timeout = Duration::from_secs(number(1, MOST_SECONDS)? as u64),
            "attempts" => self.attempts = number(1, MOST_ATTEMPTS)?,
            "edns0" => self.edns0 = true,
            _ => {}
        }
        Ok(())
    }
}

fn domains<'a>(
    words: impl Iterator<Item = &'a str>,
    number: usize,
    odd: &mut OddLines,
) -> Vec<String> {
    let mut domains = Vec::new();
    for word in words {
        match domain_of(word) {
            Some(domain) => domains.push(domain),
            None => odd.note(number, format!("`{word}` is not a domain")),
        }
    }
    domains
}

/// Without the dot at its end; the root is empty. None for what cannot be a domain.
fn domain_of(word: &str) -> Option<String> {
    let domain = word.strip_suffix('.').unwrap_or(word);
    let label = |label: &str| {
        let inner = |b: u8| b.is_ascii_graphic() && b != b'\\';
        (1..=63).contains(&label.len()) && label.bytes().all(inner)
    };
    let fits = word == "." || (domain.len() <= 253 && domain.split('.').all(label));
    // Some systems write `--` where there is nothing to search.
    (fits && word != "--").then(|| domain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &[u8]) -> (ResolvConf, Vec<usize>) {
        let mut odd = OddLines::default();
        let conf = parse(text, "pod.example.org", &mut odd);
        (conf, odd.numbers())
    }

    #[test]
    fn a_file_as_kubernetes_writes_it_is_understood() {
        let (conf, odd) = parsed(
            b"search ns.svc.cluster.local svc.cluster.local. .\nnameserver 10.96.0.10\nnameserver fd00::a\n\
              options ndots:5 timeout:1 attempts:3 edns0 single-request-reopen # fast\n",
        );
        let expected = ResolvConf {
            servers: vec!["10.96.0.10".parse().unwrap(), "fd00::a".parse().unwrap()],
            search: ["ns.svc.cluster.local", "svc.cluster.local", ""]
                .map(String::from)
                .to_vec(),
            ndots: 5,
            timeout: Duration::from_secs(1),
            attempts: 3,
            edns0: true,
        };
        assert_eq!(conf, expected);
        assert!(odd.is_empty());
    }

    #[test]
    fn the_last_of_search_and_domain_counts_and_else_the_domain_of_the_machine() {
        let search = |text: &[u8]| parsed(text).0.search;
        assert_eq!(search(b"search a b\ndomain c d\n"), ["c"]);
        assert_eq!(search(b"domain c\nsearch a b\n"), ["a", "b"]);
        assert_eq!(search(b""), ["example.org"]);
        assert_eq!(search(b"search\n"), [""; 0]);
    }

    #[test]
    fn an_odd_line_costs_nothing_but_itself() {
        let long = "a".repeat(64);
        let text = [
            b"\xff\xfe\nsearch good a..b ".as_slice(),
            long.as_bytes(),
            b" -- caf\xe9.example last\nnameserver nowhere\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\n\
              options timeout:0 attempts:0 ndots:x ndots:3\n; caf\xe9\n",
        ]
        .concat();
        let (conf, odd) = parsed(&text);
        let expected = ResolvConf {
            servers: vec!["10.0.0.1".parse().unwrap()],
            search: vec!["good".into(), "last".into()],
            ndots: 3,
            ..ResolvConf::default()
        };
        assert_eq!(conf, expected);
        assert_eq!(odd, [1, 2, 2, 2, 2, 3, 5, 6, 6, 6]);
    }

    #[test]
    fn what_the_c_library_bounds_is_bounded() {
        let (conf, _) = parsed(b"options ndots:99 timeout:99 attempts:99\n");
        assert_eq!((conf.ndots, conf.attempts), (15, 5));
        assert_eq!(conf.timeout, Duration::from_secs(30));
    }
}
