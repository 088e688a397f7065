//! The block `[listeners.NAME]` as it is written.

use std::io;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::access::{Access, Group, Mode};
use super::address::ListenAddress;
use super::integrations::IntegrationsConfig;
use super::pass_through::PassThrough;
use super::socket::{Taken, take};
use crate::tls;
use crate::value::problem::Problems;
use crate::value::{ByteSize, Duration, NotBuilt, Toggle, networks};

/// `[listeners.NAME]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen: `"127.0.0.1:15001"`, `"[::1]:15001"` or `"unix:/run/outrigger.sock"`.
    pub listen: ListenAddress,
    /// Of a unix socket: the permissions of its file, such as `"0660"`. Who connects must be allowed to write to it.
    /// Default: what the umask leaves of 0777, and `"0660"` beside `group`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Of a unix socket: the group of its file, by name or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// The kernel redirects connections here: where they went is asked for, and is the endpoint of a route with
    /// `upstream = "original-destination"`.
    #[serde(default)]
    pub transparent: bool,
    /// Pass on what is not HTTP, as it is, where a TCP route says, or to where its caller wanted to go before it was
    /// redirected; `false`: answer it as if it were HTTP.
    #[serde(default = "no_pass_through")]
    pub pass_through: Toggle<PassThrough>,
    /// Callers speak TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<tls::inbound::Config>,
    /// Which protocols a caller may speak. Beside `pass_through` it may be none: HTTP is passed on as well.
    #[serde(default = "both_protocols")]
    pub protocols: Vec<Protocol>,
    /// Above this many connections, new ones wait in the kernel's backlog.
    #[serde(default = "max_connections")]
    pub max_connections: usize,
    /// From the first byte of a request to the end of its head.
    #[serde(default = "header_timeout")]
    pub header_timeout: Duration,
    /// How long a kept-alive connection may have no request.
    #[serde(default = "idle_timeout")]
    pub idle_timeout: Duration,
    /// The longest gap between two reads of a request body.
    #[serde(default = "body_timeout")]
    pub body_timeout: Duration,
    /// A larger request head is answered with 431.
    #[serde(default = "max_header_bytes")]
    pub max_header_bytes: ByteSize,
    /// A request head with more fields is answered with 431.
    #[serde(default = "max_headers")]
    pub max_headers: usize,
    /// HTTP/2 requests at once on one connection.
    #[serde(default = "max_concurrent_streams")]
    pub max_concurrent_streams: u32,
    /// Networks whose `X-Forwarded-For` is believed.
    #[serde(default, deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// What happens to `X-Forwarded-For`, `-Proto` and `-Host`. Default: `"pass"` on a loopback or unix
    /// listener, `"set"` elsewhere.
    pub forwarded_headers: Option<ForwardedHeaders>,
    /// Add `Via: 1.1 outrigger`. Off by default: some servers stop compressing when they see it.
    #[serde(default)]
    pub via: bool,
    /// How much an answer tells that the proxy makes of a failure. `"full"`: also the reason, what happened in words, the route and
    /// the trace. `"terse"`, for callers from outside: the status and the request's id, by which the log has the rest.
    #[serde(default)]
    pub problem_detail: ProblemDetail,
    /// Have routes executed by their names, below `/integrations`.
    #[serde(default)]
    pub integrations: IntegrationsConfig,
    /// Expect a PROXY protocol header first.
    #[serde(default, skip_serializing)]
    pub proxy_protocol: Option<NotBuilt>,
}

/// A protocol that callers may speak.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Http1,
    Http2,
}

/// How much callers are told of a failure.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ProblemDetail {
    #[default]
    Full,
    Terse,
}

/// What happens to a caller's `X-Forwarded-*`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ForwardedHeaders {
    Set,
    Pass,
    Remove,
}

/// What `max_header_bytes` may be: room for a request line and `Host`, and no more than is held for a caller who
/// has not proven anything yet.
const HEADER_BYTES: RangeInclusive<ByteSize> = ByteSize(512)..=ByteSize(16 << 20);
/// What `max_headers` may be. The `http` crate's map holds no more than 24,576.
const HEADERS: RangeInclusive<usize> = 1..=10_000;

impl Config {
    /// What deserializing alone cannot see.
    pub fn check(&self, problems: &mut Problems) {
        if self.protocols.is_empty() && self.pass_through.on().is_none() {
            problems
                .error(
                    &["protocols"],
                    "a listener must speak at least one protocol",
                )
                .help("to pass all connections on as they are, set `pass_through = {}`");
        }
        if let ListenAddress::Tcp(_) = self.listen {
            for (key, given) in [
                ("mode", self.mode.is_some()),
                ("group", self.group.is_some()),
            ] {
                if given {
                    problems
                        .error(&[key], "only a unix socket has this")
                        .help("leave it out, or write `listen = \"unix:/run/outrigger.sock\"`");
                }
            }
        }
        self.check_transparent(problems);
        if self.max_connections == 0 {
            problems.error(&["max_connections"], "must be at least 1");
        }
        if self.max_concurrent_streams == 0 {
            problems.error(&["max_concurrent_streams"], "must be at least 1");
        }
        for (key, length) in [
            ("header_timeout", self.header_timeout),
            ("idle_timeout", self.idle_timeout),
            ("body_timeout", self.body_timeout),
        ] {
            if length.0.is_zero() {
                problems.error(&[key], "must be longer than 0");
            }
        }
        if !HEADER_BYTES.contains(&self.max_header_bytes) {
            problems.error(
                &["max_header_bytes"],
                format!(
                    "must be from {} to {}",
                    HEADER_BYTES.start(),
                    HEADER_BYTES.end()
                ),
            );
        }
        if let Some(tls) = &self.tls {
            problems.within(&["tls"], |problems| tls.check(problems));
        }
        let registers = self.integrations.0.as_ref().is_some_and(|i| i.register);
        if registers && !self.listen.is_local() && !self.has_proven_callers() {
            problems
                .error(
                    &["integrations", "register"],
                    format!("whoever reaches {} could change the routes of this proxy", self.listen),
                )
                .help("listen on loopback or a unix socket, or have callers prove who they are: `tls` with `client_ca`");
        }
        if !HEADERS.contains(&self.max_headers) {
            problems.error(
                &["max_headers"],
                format!("must be from {} to {}", HEADERS.start(), HEADERS.end()),
            );
        }
    }

    fn check_transparent(&self, problems: &mut Problems) {
        if let Some(pass_through) = self.pass_through.on() {
            if self.tls.is_some() {
                problems
                    .error(
                        &["pass_through"],
                        "a listener that ends TLS passes nothing through",
                    )
                    .help("keep `tls` or `pass_through`");
            }
            for (key, length) in [
                ("detect_timeout", pass_through.detect_timeout),
                ("connect_timeout", pass_through.connect_timeout),
            ] {
                if length.0.is_zero() {
                    problems.error(&["pass_through", key], "must be longer than 0");
                }
            }
        }
        if !self.transparent {
            return;
        }
        match &self.listen {
            ListenAddress::Unix(_) => {
                problems
                    .error(
                        &["transparent"],
                        "the kernel redirects TCP, and no unix socket gets it",
                    )
                    .help("leave it out, or write `listen = \"[::]:15001\"`");
            }
            ListenAddress::Tcp(address) if address.ip().is_loopback() => {
                problems
                    .warning(
                        &["listen"],
                        "what comes from other machines is redirected to the address of the interface it came in by, and \
                         never gets to a listener on loopback",
                    )
                    .help(format!(
                        "write `listen = \"[::]:{}\"`, which takes what is sent from here as well, by both versions of IP",
                        address.port()
                    ));
            }
            ListenAddress::Tcp(_) => {}
        }
    }

    /// Whether nobody is served here who has not proven who they are.
    fn has_proven_callers(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(tls::inbound::Config::requires_proof)
    }

    /// Takes the address for `workers` workers, and lets in who may connect. `ours`: see [`take`].
    ///
    /// # Errors
    /// What the kernel says, with the address.
    pub fn take(&self, workers: usize, ours: bool) -> io::Result<Taken> {
        // A name that means nothing is found before the address is taken from whoever has it.
        let access = self.access()?;
        let taken = take(&self.listen, workers, ours)?;
        access.grant(&self.listen)?;
        Ok(taken)
    }

    /// Who may connect, where that is a matter of a file.
    ///
    /// # Errors
    /// A group that there is not.
    pub fn access(&self) -> io::Result<Access> {
        Access::of(self.mode, self.group.as_ref())
    }

    pub fn with_defaults(self) -> Self {
        Config {
            forwarded_headers: Some(self.forwarded_headers()),
            ..self
        }
    }

    /// What happens to `X-Forwarded-*`, the default filled in.
    pub fn forwarded_headers(&self) -> ForwardedHeaders {
        self.forwarded_headers.unwrap_or(if self.listen.is_local() {
            ForwardedHeaders::Pass
        } else {
            ForwardedHeaders::Set
        })
    }
}

fn no_pass_through() -> Toggle<PassThrough> {
    Toggle::Off
}

fn both_protocols() -> Vec<Protocol> {
    vec![Protocol::Http1, Protocol::Http2]
}

fn max_connections() -> usize {
    10_000
}

fn header_timeout() -> Duration {
    Duration::from_secs(10)
}

fn idle_timeout() -> Duration {
    Duration::from_secs(3600)
}

fn body_timeout() -> Duration {
    Duration::from_secs(60)
}

fn max_header_bytes() -> ByteSize {
    ByteSize(60 << 10)
}

fn max_headers() -> usize {
    100
}

fn max_concurrent_streams() -> u32 {
    100
}
