//! The kinds of brokers that there are.

use crate::value::problem::Problems;
use crate::value::{ByteSize, Wrong};

/// A kind of broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    RabbitMq,
    Nats,
    Kafka,
}

/// What differs from kind to kind, and is known before there is a connection.
struct Facts {
    name: &'static str,
    /// The scheme of its URLs without TLS, and with.
    schemes: [&'static str; 2],
    /// The cargo feature that builds it.
    feature: &'static str,
    is_built: bool,
    /// The largest message that a broker takes unless it is set up otherwise, and what that option is called.
    largest: (u64, &'static str),
}

const ALL: [Kind; 3] = [Kind::RabbitMq, Kind::Nats, Kind::Kafka];

impl Kind {
    const fn facts(self) -> Facts {
        match self {
            Kind::RabbitMq => Facts {
                name: "RabbitMQ",
                schemes: ["amqp", "amqps"],
                feature: "rabbitmq",
                is_built: cfg!(feature = "rabbitmq"),
                // Since 4.0; 128 MiB before.
                largest: (16 << 20, "max_message_size"),
            },
            Kind::Nats => Facts {
                name: "NATS",
                schemes: ["nats", "natss"],
                feature: "nats",
                is_built: cfg!(feature = "nats"),
                largest: (1 << 20, "max_payload"),
            },
            Kind::Kafka => Facts {
                name: "Kafka",
                schemes: ["kafka", "kafkas"],
                feature: "kafka",
                is_built: cfg!(feature = "kafka"),
                largest: (1 << 20, "message.max.bytes"),
            },
        }
    }

    /// Its name, as it writes it itself.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// What OpenTelemetry calls it (`messaging.system`), which is what its feature is called.
    pub const fn system(self) -> &'static str {
        self.facts().feature
    }

    /// Reports a limit of bodies, the key `max_body`, above what brokers take that are not set up for it.
    pub fn check_largest(self, max_body: ByteSize, problems: &mut Problems) {
        let (largest, option) = self.facts().largest;
        if max_body.0 > largest {
            problems
                .warning(
                    &["max_body"],
                    format!(
                        "{} takes no message larger than {} unless it is set up so",
                        self.name(),
                        ByteSize(largest)
                    ),
                )
                .help(format!(
                    "see to it that the broker's `{option}` is as large"
                ));
        }
    }

    /// The kind that a URL is for, and whether TLS is spoken.
    ///
    /// # Errors
    /// When no kind has such URLs, or this program was built without it. The URL is a secret: nothing of it but its scheme
    /// is told.
    pub fn of_url(url: &str) -> Result<(Kind, bool), Wrong> {
        let schemes = || ALL.map(|kind| kind.facts().schemes).concat();
        let Some((scheme, _)) = url.split_once("://") else {
            let wrong = Wrong::new("the URL of this broker has no scheme");
            return Err(wrong.help(format!("begin it with one of {}", listed(&schemes()))));
        };
        let scheme = scheme.to_ascii_lowercase();
        let kind = ALL
            .into_iter()
            .find(|kind| kind.facts().schemes.contains(&scheme.as_str()));
        let Some(kind) = kind else {
            let wrong = Wrong::new("the URL of this broker has the scheme of no broker");
            return Err(wrong.help(format!("begin it with one of {}", listed(&schemes()))));
        };
        let facts = kind.facts();
        if !facts.is_built {
            let wrong = Wrong::new(format!("this program was built without {}", facts.name));
            return Err(wrong.help(format!("build it with the feature `{}`", facts.feature)));
        }
        Ok((kind, scheme == facts.schemes[1]))
    }
}

fn listed(schemes: &[&str]) -> String {
    let quoted: Vec<String> = schemes
        .iter()
        .map(|scheme| format!("`{scheme}://`"))
        .collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_tells_its_kind_and_nothing_else() {
        for (url, kind, encrypted) in [
            ("AMQPS://a", Kind::RabbitMq, true),
            ("nats://a", Kind::Nats, false),
            ("kafka://a", Kind::Kafka, false),
        ] {
            match Kind::of_url(url) {
                Ok(found) => assert_eq!(found, (kind, encrypted)),
                Err(wrong) => assert!(wrong.message.ends_with(&format!("without {}", kind.name()))),
            }
        }
        for text in ["guest:hush@rabbit", "hush://rabbit"] {
            let wrong = format!("{:?}", Kind::of_url(text).unwrap_err());
            assert!(
                !wrong.contains("hush") && wrong.contains("amqps"),
                "{wrong}"
            );
        }
    }
}
