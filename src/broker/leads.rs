//! Whether what is published somewhere comes to whoever consumes somewhere, as far as the config tells.

use super::rabbitmq::ExchangeType;
use super::{Address, Config, Source};
use crate::value::template::HeaderTemplate;

/// What begins in the text of an address that a request fills in.
const FILLED_IN: &str = "${";

impl Config {
    /// Whether each message that goes `to` one place of this broker comes `from` the other. What a request fills in fits only
    /// where every word does.
    pub fn leads(&self, to: &Address<HeaderTemplate>, from: &Source) -> bool {
        match (to, from) {
            (Address::Topic { topic, .. }, Source::Topic { topic: other, .. }) => {
                topic.as_str() == other
            }
            (
                Address::Subject(to),
                Source::Stream {
                    stream, subject, ..
                },
            ) => {
                let stream = self.streams.get(stream);
                let of_stream = stream
                    .map(|stream| &stream.subjects[..])
                    .unwrap_or_default();
                let read = subject.as_ref().map_or(of_stream, std::slice::from_ref);
                read.iter().any(|pattern| fits(pattern, to.as_str(), ">"))
            }
            (
                Address::Exchange {
                    exchange,
                    routing_key,
                },
                Source::Queue { queue },
            ) => {
                let text = |template: &Option<HeaderTemplate>| {
                    let text = template.as_ref().map(HeaderTemplate::as_str);
                    text.unwrap_or_default().to_owned()
                };
                self.routes(&text(exchange), &text(routing_key), queue)
            }
            _ => false,
        }
    }

    /// Whether an exchange puts a message with this key into a queue.
    fn routes(&self, exchange: &str, key: &str, queue: &str) -> bool {
        if exchange.is_empty() {
            return key == queue;
        }
        let kind = self.exchanges.get(exchange).map(|exchange| exchange.r#type);
        let bound = self
            .queues
            .get(queue)
            .into_iter()
            .flat_map(|queue| &queue.bind);
        let mut bound = bound.filter(|binding| binding.exchange == exchange);
        bound.any(|binding| match kind {
            Some(ExchangeType::Fanout) => true,
            Some(ExchangeType::Topic) => fits(&binding.key, key, "#"),
            Some(ExchangeType::Direct) | None => binding.key == key,
            Some(ExchangeType::Headers) => false,
        })
    }
}

/// Whether a pattern of words with dots between them stands for `text`: `*` is one word, `rest` any number of them.
fn fits(pattern: &str, text: &str, rest: &str) -> bool {
    let (pattern, words): (Vec<&str>, Vec<&str>) =
        (pattern.split('.').collect(), text.split('.').collect());
    fit(&pattern, &words, rest)
}

fn fit(pattern: &[&str], words: &[&str], rest: &str) -> bool {
    match pattern.split_first() {
        None => words.is_empty(),
        // In NATS it stands for one word at least.
        Some((&">", [])) if rest == ">" => !words.is_empty(),
        Some((first, others)) if *first == rest => {
            (0..=words.len()).any(|taken| fit(others, &words[taken..], rest))
        }
        Some((first, others)) => words.split_first().is_some_and(|(word, words)| {
            let is_it = *first == "*" || first == word && !word.contains(FILLED_IN);
            is_it && fit(others, words, rest)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> HeaderTemplate {
        text.to_owned().try_into().unwrap()
    }

    fn config(block: &str) -> Config {
        toml::from_str(&format!("url.value = \"x\"\n{block}")).unwrap()
    }

    #[test]
    fn a_queue_gets_what_its_bindings_and_its_name_stand_for() {
        let config = config(
            "
            exchanges.all.type = \"fanout\"
            exchanges.some.type = \"direct\"
            exchanges.orders = {}
            exchanges.by-headers.type = \"headers\"
            [queues.work]
            bind = [
                { exchange = \"all\" },
                { exchange = \"some\", key = \"a.*\" },
                { exchange = \"orders\", key = \"order.#\" },
                { exchange = \"orders\", key = \"*.late.#.x\" },
                { exchange = \"by-headers\" },
                { exchange = \"elsewhere\", key = \"b\" },
            ]
            ",
        );
        let from = Source::Queue {
            queue: "work".to_owned(),
        };
        for (exchange, key, wanted) in [
            (None, Some("work"), true),
            (Some(""), Some("other"), false),
            (Some("all"), None, true),
            (Some("some"), Some("a.*"), true),
            (Some("some"), Some("a.b"), false),
            (Some("orders"), Some("order"), true),
            (Some("orders"), Some("order.${path.kind}"), true),
            (Some("orders"), Some("${path.kind}.new"), false),
            (Some("orders"), Some("a.late.x"), true),
            (Some("orders"), Some("a.late.b.c.x"), true),
            (Some("orders"), Some("a.late.b.c"), false),
            (Some("by-headers"), None, false),
            (Some("elsewhere"), Some("b"), true),
            (Some("unknown"), Some("work"), false),
            (Some("${path.exchange}"), Some("work"), false),
        ] {
            let to = Address::Exchange {
                exchange: exchange.map(template),
                routing_key: key.map(template),
            };
            assert_eq!(config.leads(&to, &from), wanted, "{exchange:?} {key:?}");
        }
    }

    #[test]
    fn a_stream_gets_its_subjects_and_whoever_reads_some_of_them_those() {
        let config = config("streams.orders.subjects = [\"orders.>\", \"late\"]");
        let from = |stream: &str, subject: Option<&str>| Source::Stream {
            stream: stream.to_owned(),
            subject: subject.map(str::to_owned),
            consumer: "c".to_owned(),
        };
        for (to, subject, wanted) in [
            ("orders.new", None, true),
            ("orders.${path.kind}", None, true),
            ("late", None, true),
            ("orders", None, false),
            ("${path.kind}.new", None, false),
            ("orders.new", Some("orders.*"), true),
            ("orders.new", Some("orders.old"), false),
            ("orders.${path.kind}", Some("orders.old"), false),
        ] {
            let from = from("orders", subject);
            assert_eq!(
                config.leads(&Address::Subject(template(to)), &from),
                wanted,
                "{to}"
            );
        }
        let to = Address::Subject(template("orders.new"));
        assert!(!config.leads(&to, &from("other", None)));
        let topic = |topic| Address::Topic {
            topic: template(topic),
            key: None,
        };
        let from = Source::Topic {
            topic: "orders".to_owned(),
            group: "g".to_owned(),
        };
        assert!(config.leads(&topic("orders"), &from));
        assert!(!config.leads(&topic("${path.topic}"), &from));
        assert!(!config.leads(&to, &from));
    }
}
