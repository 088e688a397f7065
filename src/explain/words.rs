//! An explanation for people.

use std::fmt::Write;

use serde_json::Value;

use super::{Explanation, OutcomeKind, Policy, SetBy, Style, Target};

impl Explanation {
    /// All of it, in lines.
    pub fn text(&self, style: Style) -> String {
        let mut page = Page {
            style,
            text: String::new(),
        };
        page.request(self);
        page.outcome(self);
        page.passed_over(self);
        page.policies(self);
        page.target(self);
        page.sends(self);
        for note in &self.notes {
            page.line(&format!("note: {note}"));
        }
        page.text
    }
}

struct Page {
    style: Style,
    text: String,
}

impl Page {
    /// Control characters of a request must not steer the terminal.
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn title(&mut self, title: &str) {
        let title = self.style.bold(title);
        self.line(&format!("\n{title}"));
    }

    fn request(&mut self, explanation: &Explanation) {
        let seen = &explanation.request;
        let query = seen.query.as_ref().map(|query| format!("?{query}"));
        let mut line = format!(
            "{} {}{}{}",
            seen.method,
            seen.host.as_deref().unwrap_or_default(),
            seen.path,
            query.unwrap_or_default()
        );
        line = self.style.bold(&visible(&line));
        let _ = write!(line, "  to listener `{}`", visible(&seen.listener));
        if let Some(client) = &seen.client {
            let _ = write!(line, ", from {client}");
        }
        self.line(&line);
    }

    fn outcome(&mut self, explanation: &Explanation) {
        match &explanation.route {
            Some(route) => {
                let mut line = format!("route {}", self.style.bold(&route.name));
                if let Some(place) = &route.place {
                    let _ = write!(line, "  {}", self.style.faint(&visible(place)));
                }
                if route.preflight {
                    line.push_str("  (a preflight, for the request that it announces)");
                }
                self.line(&line);
                for (name, text) in &route.captures {
                    self.line(&format!("  {name} = {}", visible(text)));
                }
            }
            None => self.line("no route"),
        }
        let outcome = &explanation.outcome;
        let summary = visible(&outcome.summary);
        let summary = if outcome.kind == OutcomeKind::Refused {
            self.style.bad(&summary)
        } else {
            self.style.good(&summary)
        };
        self.line(&summary);
        if let Some(detail) = &outcome.detail {
            self.line(&format!("  {}", visible(detail)));
        }
        for field in &outcome.headers {
            self.line(&format!("  {}: {}", field.name, visible(&field.value)));
        }
    }

    fn passed_over(&mut self, explanation: &Explanation) {
        if explanation.passed_over.is_empty() {
            return;
        }
        self.title("Routes passed over");
        for passed in &explanation.passed_over {
            self.line(&format!("  {}: {}", passed.route, visible(&passed.why)));
        }
    }

    fn policies(&mut self, explanation: &Explanation) {
        if explanation.policies.is_empty() {
            return;
        }
        self.title("Policies, in their order");
        for policy in &explanation.policies {
            self.policy(policy);
        }
    }

    fn policy(&mut self, policy: &Policy) {
        let from = match (policy.set.by, &policy.set.place) {
            (SetBy::Route, Some(place)) => visible(place),
            (SetBy::Route, None) => "set by the route".to_owned(),
            (SetBy::Defaults, Some(place)) => format!("from [defaults], {}", visible(place)),
            (SetBy::Defaults, None) => "from [defaults]".to_owned(),
            (SetBy::Default, _) => "default".to_owned(),
            (SetBy::Unknown, _) => String::new(),
        };
        let value = shown(&policy.value);
        self.line(&format!(
            "  {} = {value}  {}",
            policy.key,
            self.style.faint(&from)
        ));
        if !policy.defaults.is_empty() {
            let by_default = format!("    by default: {}", policy.defaults.join(", "));
            let by_default = self.style.faint(&by_default);
            self.line(&by_default);
        }
        if let Some(state) = &policy.state {
            self.line(&format!("    now: {}", shown(state)));
        }
    }

    fn target(&mut self, explanation: &Explanation) {
        let Some(target) = &explanation.target else {
            return;
        };
        self.title("Target");
        let place = target.place.as_deref().map(visible);
        let place = self.style.faint(&place.unwrap_or_default());
        self.line(&format!(
            "  {} = {}  {place}",
            target.kind,
            shown(&target.value)
        ));
        for share in shares(target) {
            self.line(&format!("    {share}"));
        }
        for (key, value) in &target.options {
            self.line(&format!("  {key} = {}", shown(value)));
        }
        let parts = target.state.iter().filter_map(Value::as_array).flatten();
        for part in parts {
            self.line(&format!("    now: {}", shown(part)));
        }
    }

    fn sends(&mut self, explanation: &Explanation) {
        let Some(sent) = &explanation.sends else {
            return;
        };
        self.title("What it is given");
        self.line(&format!("  {} {}", sent.method, visible(&sent.path)));
        if let Some(host) = &sent.host {
            self.line(&format!("  host: {}", visible(host)));
        }
        for field in &sent.headers {
            self.line(&format!("  {}: {}", field.name, visible(&field.value)));
        }
    }
}

/// The sides of a split, with their shares.
fn shares(target: &Target) -> Vec<String> {
    let sides = target
        .value
        .as_array()
        .filter(|_| target.kind == "split")
        .map(Vec::as_slice)
        .unwrap_or_default();
    let weight = |side: &Value| side["weight"].as_f64().unwrap_or_default();
    let total: f64 = sides.iter().map(weight).sum();
    let share = |side: &Value| {
        let percent = 100.0 * weight(side) / total;
        let name = side["upstream"].as_str().unwrap_or_default();
        format!("{name} gets {percent:.0} % of the requests")
    };
    sides.iter().map(share).collect()
}

/// A value as it is written in a config, more or less.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Object(table) => {
            let entries = table.iter().filter(|(_, value)| !value.is_null());
            let entries = entries.map(|(key, value)| format!("{key} = {}", shown(value)));
            let entries: Vec<String> = entries.collect();
            if entries.is_empty() {
                "{}".to_owned()
            } else {
                format!("{{ {} }}", entries.join(", "))
            }
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        value => visible(&value.to_string()),
    }
}

/// Without control characters, which could steer a terminal.
fn visible(text: &str) -> String {
    let escape = |c: char| -> String {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(escape).collect()
}
