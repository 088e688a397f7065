//! What is wrong with a config, and where: found by the rooms that own the blocks, shown by `config`.

/// One mistake or doubt, at a key path such as `routes`, `pay`, `timeout`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    pub at: Vec<String>,
    /// What is wrong, in one sentence that reads well after `error:`.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
    /// Other places that belong to it, each with a few words.
    pub related: Vec<(Vec<String>, String)>,
}

/// Whether a config with this problem can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// Problems gathered so far; all are reported, not the first only.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    prefix: Vec<String>,
    found: Vec<Problem>,
}

impl Problems {
    /// Runs `check` with every path it reports taken as below `keys`.
    pub fn within<T>(&mut self, keys: &[&str], check: impl FnOnce(&mut Self) -> T) -> T {
        let depth = self.prefix.len();
        self.prefix.extend(keys.iter().map(|key| (*key).to_owned()));
        let result = check(self);
        self.prefix.truncate(depth);
        result
    }

    pub fn error(&mut self, keys: &[&str], message: impl Into<String>) -> &mut Problem {
        self.add(Severity::Error, keys, message.into())
    }

    pub fn warning(&mut self, keys: &[&str], message: impl Into<String>) -> &mut Problem {
        self.add(Severity::Warning, keys, message.into())
    }

    pub fn has_errors(&self) -> bool {
        self.found.iter().any(|p| p.severity == Severity::Error)
    }

    pub fn into_vec(self) -> Vec<Problem> {
        self.found
    }

    fn add(&mut self, severity: Severity, keys: &[&str], message: String) -> &mut Problem {
        let mut at = self.prefix.clone();
        at.extend(keys.iter().map(|key| (*key).to_owned()));
        self.found.push(Problem {
            severity,
            at,
            message,
            help: None,
            related: Vec::new(),
        });
        let last = self.found.len() - 1;
        &mut self.found[last]
    }
}

impl Problem {
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    pub fn related(&mut self, at: &[&str], label: impl Into<String>) -> &mut Self {
        let at = at.iter().map(|key| (*key).to_owned()).collect();
        self.related.push((at, label.into()));
        self
    }
}
