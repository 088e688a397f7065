//! `outrigger certs`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, ValueEnum};

use super::{BAD_USAGE, CONFIG_DEFAULT, CONFIG_VARIABLE, patiently, say, show};
use crate::config;
use crate::tls::inventory::{self, Item, Kind};

/// List every certificate that a config uses, what expires next first
///
/// Also lists revocation lists and OCSP responses; not the CAs that the system trusts. Exit code: 0, or 2 when the
/// config has errors, which are shown behind what could be read.
#[derive(Args)]
#[command(after_help = "Examples:
  outrigger certs /etc/outrigger
  outrigger certs --format json config/examples/tls/outrigger.toml")]
pub(super) struct Certs {
    /// A TOML file, or a directory of them
    #[arg(env = CONFIG_VARIABLE, default_value = CONFIG_DEFAULT)]
    path: PathBuf,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Certs {
    pub fn run(&self) -> ExitCode {
        let (found, report) = patiently(|| config::certificates(&self.path));
        let items = found.by_expiry();
        let now = SystemTime::now();
        match self.format {
            Format::Json => say(format_args!("{:#}", inventory::json(&items, now))),
            Format::Text if items.is_empty() => say("no certificates"),
            Format::Text => say(table(&items, now)),
        }
        match report.errors() {
            0 => ExitCode::SUCCESS,
            _ => {
                show(&report);
                ExitCode::from(BAD_USAGE)
            }
        }
    }
}

const HEADS: [&str; 8] = [
    "DAYS", "UNTIL", "FROM", "KIND", "NAMES", "ISSUER", "SERIAL", "USED BY",
];

fn table(items: &[Item], now: SystemTime) -> String {
    let rows: Vec<[String; HEADS.len()]> = std::iter::once(HEADS.map(str::to_owned))
        .chain(items.iter().map(|item| row(item, now)))
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths: [usize; HEADS.len()] = std::array::from_fn(width);
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match column {
            0 => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn row(item: &Item, now: SystemTime) -> [String; HEADS.len()] {
    let kind = match item.kind {
        Kind::Certificate => "certificate",
        Kind::Issuer => "issuer",
        Kind::Ca => "CA",
        Kind::RevocationList => "revocation list",
        Kind::OcspResponse => "OCSP response",
    };
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let names = if item.names.is_empty() {
        item.subject.clone()
    } else {
        Some(item.names.join(", "))
    };
    [
        or_dash(item.days_left(now).map(|days| days.to_string())),
        or_dash(item.not_after.map(date)),
        date(item.not_before),
        kind.to_owned(),
        or_dash(names),
        or_dash(item.issuer.clone()),
        or_dash(item.serial.clone()),
        format!("{} ({})", item.used_by.join(", "), item.file),
    ]
}

fn date(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
