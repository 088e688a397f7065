//! What is wrong with a config, and where: found by the rooms that own the blocks, shown by `config`.

use super::Wrong;

/// One thing that is wrong or doubtful, at a key path such as `routes`, `pay`, `timeout`.
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
    /// See [`Problem::once`].
    once: bool,
    /// See [`Problem::absence`].
    is_absence: bool,
    /// How many keys of `at` lead to the block that was being checked.
    depth: usize,
}

/// Whether a config with this problem can serve: not with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
    /// What was not looked at.
    Note,
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

    /// An error that a value tells of itself.
    pub fn wrong(&mut self, keys: &[&str], wrong: Wrong) {
        let problem = self.error(keys, wrong.message);
        problem.help = wrong.help;
        problem.is_absence = wrong.is_absence;
    }

    pub fn warning(&mut self, keys: &[&str], message: impl Into<String>) -> &mut Problem {
        self.add(Severity::Warning, keys, message.into())
    }

    /// Takes what was found elsewhere in the block that is being checked.
    pub fn append(&mut self, found: Problems) {
        for mut problem in found.found {
            problem.depth += self.prefix.len();
            for at in problem.related.iter_mut().map(|(at, _)| at) {
                at.splice(0..0, self.prefix.iter().cloned());
            }
            problem.at.splice(0..0, self.prefix.iter().cloned());
            self.found.push(problem);
        }
    }

    /// Tells what is the same of a file only at the first key that names it; the others become places that belong to it.
    pub fn gather_repeated(&mut self) {
        let mut kept: Vec<Problem> = Vec::with_capacity(self.found.len());
        for problem in self.found.drain(..) {
            let same =
                |seen: &&mut Problem| problem.once && seen.once && seen.message == problem.message;
            match kept.iter_mut().find(same) {
                Some(first) => first.related.push((problem.at, "used here too".to_owned())),
                None => kept.push(problem),
            }
        }
        self.found = kept;
    }

    /// Makes notes of the errors that only say what is not on this machine.
    pub fn excuse_absences(&mut self) {
        let absences = self.found.iter_mut().filter(|problem| problem.is_absence);
        for problem in absences {
            problem.severity = Severity::Note;
            problem.help = Some("it is not checked offline".to_owned());
        }
    }

    pub fn has_errors(&self) -> bool {
        self.found.iter().any(|p| p.severity == Severity::Error)
    }

    pub fn into_vec(self) -> Vec<Problem> {
        self.found
    }

    fn add(&mut self, severity: Severity, keys: &[&str], message: String) -> &mut Problem {
        let mut at = self.prefix.clone();
        let depth = at.len();
        at.extend(keys.iter().map(|key| (*key).to_owned()));
        self.found.push(Problem {
            severity,
            at,
            message,
            help: None,
            related: Vec::new(),
            once: false,
            is_absence: false,
            depth,
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

    /// It is about a file that several keys may name, and is the same for each: see [`Problems::gather_repeated`].
    pub fn once(&mut self) -> &mut Self {
        self.once = true;
        self
    }

    /// It only says that this machine has not what another one may have: see [`Problems::excuse_absences`].
    pub fn absence(&mut self) -> &mut Self {
        self.is_absence = true;
        self
    }

    /// Names another place; like the problem's own path, `keys` start at the block that is being checked.
    pub fn related(&mut self, keys: &[&str], label: impl Into<String>) -> &mut Self {
        let mut at = self.at[..self.depth].to_vec();
        at.extend(keys.iter().map(|key| (*key).to_owned()));
        self.related.push((at, label.into()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_start_at_the_block() {
        let mut problems = Problems::default();
        problems.within(&["routes", "pay"], |problems| {
            problems
                .error(&["timeout"], "wrong")
                .related(&["deadline"], "this");
        });
        problems
            .error(&["routes", "pay"], "wrong")
            .related(&["routes", "ship"], "this");
        let found = problems.into_vec();
        assert_eq!(found[0].at, ["routes", "pay", "timeout"]);
        assert_eq!(found[0].related[0].0, ["routes", "pay", "deadline"]);
        assert_eq!(found[1].related[0].0, ["routes", "ship"]);
    }

    #[test]
    fn what_is_the_same_of_a_file_is_told_once() {
        let mut problems = Problems::default();
        for name in ["a", "b", "c"] {
            problems.within(&["listeners", name], |problems| {
                problems.warning(&["cert"], "x.pem expires").once();
                problems.warning(&["value"], "a secret");
            });
        }
        problems.gather_repeated();
        let found = problems.into_vec();
        let messages: Vec<&str> = found.iter().map(|found| &*found.message).collect();
        assert_eq!(
            messages,
            ["x.pem expires", "a secret", "a secret", "a secret"]
        );
        let places: Vec<String> = found[0]
            .related
            .iter()
            .map(|(at, _)| at.join("."))
            .collect();
        assert_eq!(places, ["listeners.b.cert", "listeners.c.cert"]);
    }

    #[test]
    fn what_was_found_apart_comes_under_the_block() {
        let mut apart = Problems::default();
        apart.error(&["key"], "wrong").related(&["cert"], "this");
        let mut problems = Problems::default();
        problems.within(&["listeners", "web"], |problems| problems.append(apart));
        let found = problems.into_vec();
        assert_eq!(found[0].at, ["listeners", "web", "key"]);
        assert_eq!(found[0].related[0].0, ["listeners", "web", "cert"]);
    }
}
