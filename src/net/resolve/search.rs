//! The search list: which whole names a written one may stand for, and when to stop asking for them.
//!
//! Only the answer that there is no such name leads from one entry to the next. After any other failure the name may
//! well exist there, and what a later entry has under it is another's: a wildcard record of a company would get the
//! requests, and the credentials, that are meant for a service of the cluster.

use super::{Failure, Found, Known};

/// Whole names in the order in which they are asked for, each with a dot at its end.
#[derive(Debug, PartialEq, Eq)]
pub struct Candidates {
    names: Vec<String>,
    /// The one that is the name as it was written.
    as_written: usize,
}

/// The longest name with its last dot (RFC 1035, section 2.3.4).
const LONGEST: usize = 254;

/// A name with so many dots is taken as whole when the search list fails. One with fewer is as likely the name of
/// a service and its namespace, which may be a top-level domain as well.
const DOTS_OF_A_WHOLE_NAME: usize = 2;

impl Candidates {
    pub fn of(name: &str, search: &[String], ndots: usize) -> Self {
        let dots = name.matches('.').count();
        let written = format!("{}.", name.trim_end_matches('.'));
        if name.ends_with('.') {
            return Candidates {
                names: vec![written],
                as_written: 0,
            };
        }
        let mut names = Vec::with_capacity(search.len() + 1);
        if dots >= ndots {
            names.push(written.clone());
        }
        for domain in search {
            let whole = match domain.as_str() {
                "" => written.clone(),
                domain => format!("{name}.{domain}."),
            };
            if whole.len() <= LONGEST && !names.contains(&whole) {
                names.push(whole);
            }
        }
        if !names.contains(&written) {
            names.push(written.clone());
        }
        let as_written = names.iter().position(|whole| *whole == written);
        Candidates {
            as_written: as_written.unwrap_or_default(),
            names,
        }
    }

    /// Asks for one after the other, until one is found or may be there.
    ///
    /// # Errors
    /// The first failure that was more than "no such name"; else that.
    pub async fn walk<T, Reply>(
        &self,
        known: Known<'_>,
        ask: impl Fn(String) -> Reply,
    ) -> Result<Found<T>, Failure>
    where
        Reply: Future<Output = Result<T, Failure>>,
    {
        let known = known
            .name
            .and_then(|known| self.names.iter().position(|name| name == known));
        let mut last = known.unwrap_or(self.names.len() - 1);
        let mut failure = None;
        let mut at = 0;
        while at <= last {
            let name = &self.names[at];
            at += 1;
            match ask(name.clone()).await {
                Ok(what) => {
                    return Ok(Found {
                        name: Some(name.clone()),
                        what,
                    });
                }
                Err(Failure::NoName) => {}
                Err(error) => {
                    failure.get_or_insert(error);
                    // What answered before is asked itself; a whole name, as the C library does, as it is written.
                    match known.or_else(|| self.whole()) {
                        Some(next) if next >= at => (at, last) = (next, next),
                        _ => break,
                    }
                }
            }
        }
        Err(failure.unwrap_or(Failure::NoName))
    }

    /// The name as it was written, if that looks like a whole one.
    fn whole(&self) -> Option<usize> {
        let labels = self.names[self.as_written].trim_end_matches('.').split('.');
        // Those of a service, as in `_http._tcp.app`, say nothing of where it is.
        let labels = labels.skip_while(|label| label.starts_with('_')).count();
        (labels > DOTS_OF_A_WHOLE_NAME).then_some(self.as_written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::future::ready;

    fn names(name: &str, search: &[&str], ndots: usize) -> Vec<String> {
        let search: Vec<String> = search.iter().map(|s| s.to_string()).collect();
        Candidates::of(name, &search, ndots).names
    }

    #[test]
    fn a_name_with_enough_dots_comes_first_as_it_is_written() {
        assert_eq!(
            names("app", &["a.b", "c"], 1),
            ["app.a.b.", "app.c.", "app."]
        );
        assert_eq!(names("app.x", &["a"], 1), ["app.x.", "app.x.a."]);
        assert_eq!(names("app.x", &["a"], 2), ["app.x.a.", "app.x."]);
        assert_eq!(names("app.x.", &["a"], 5), ["app.x."]);
        assert_eq!(names("app", &["a", "", "a"], 1), ["app.a.", "app."]);
        let long = "a".repeat(250);
        assert_eq!(names("app", &[&long, "b"], 1), ["app.b.", "app."]);
    }

    /// What is asked for in turn, and what comes of it.
    async fn walked(
        name: &str,
        known: Option<&str>,
        replies: &[(&str, Result<(), Failure>)],
    ) -> (Vec<String>, Result<String, Failure>) {
        let search = ["ns.svc", "svc", "corp.example"].map(String::from);
        let asked = RefCell::new(Vec::new());
        let known = Known {
            name: known,
            usable: known.is_some(),
        };
        let found = Candidates::of(name, &search, 5)
            .walk(known, |name: String| {
                let reply = replies.iter().find(|(host, _)| *host == name);
                asked.borrow_mut().push(name);
                ready(reply.map_or(Err(Failure::NoName), |(_, reply)| reply.clone()))
            })
            .await;
        let found = found.map(|found| found.name.unwrap_or_default());
        (asked.into_inner(), found)
    }

    fn troubles() -> [Failure; 3] {
        [
            Failure::Silence("nobody answered".into()),
            Failure::Refused("SERVFAIL".into()),
            Failure::NoRecords("no addresses".into()),
        ]
    }

    #[tokio::test]
    async fn only_the_lack_of_a_name_leads_to_the_next() {
        let wildcard = ("app.corp.example.", Ok(()));
        let (asked, found) = walked("app", None, std::slice::from_ref(&wildcard)).await;
        assert_eq!(asked, ["app.ns.svc.", "app.svc.", "app.corp.example."]);
        assert_eq!(found.unwrap(), "app.corp.example.");
        for trouble in troubles() {
            let replies = [("app.ns.svc.", Err(trouble.clone())), wildcard.clone()];
            let (asked, found) = walked("app", None, &replies).await;
            assert_eq!(asked, ["app.ns.svc."]);
            assert_eq!(found.unwrap_err(), trouble);
        }
        let (asked, found) = walked("app", None, &[]).await;
        assert_eq!(asked.len(), 4);
        assert_eq!(found.unwrap_err(), Failure::NoName);
    }

    #[tokio::test]
    async fn after_trouble_a_whole_name_is_asked_for_as_it_is_written() {
        for trouble in troubles() {
            let replies = [
                ("app.example.com.svc.", Err(trouble.clone())),
                ("app.example.com.corp.example.", Ok(())),
                ("app.example.com.", Ok(())),
            ];
            let (asked, found) = walked("app.example.com", None, &replies).await;
            let expected = [
                "app.example.com.ns.svc.",
                "app.example.com.svc.",
                "app.example.com.",
            ];
            assert_eq!(asked, expected);
            assert_eq!(found.unwrap(), "app.example.com.");
            // It tells of the trouble, not of what came after.
            let (_, found) = walked("app.example.com", None, &replies[..1]).await;
            assert_eq!(found.unwrap_err(), trouble);
            // This may be a service of the cluster and its namespace.
            for name in ["app.dev", "_http._tcp.app.dev"] {
                let (first, whole) = (format!("{name}.svc."), format!("{name}."));
                let replies = [(&*first, Err(trouble.clone())), (&*whole, Ok(()))];
                let (_, found) = walked(name, None, &replies).await;
                assert_eq!(found.unwrap_err(), trouble);
            }
        }
    }

    #[tokio::test]
    async fn nothing_behind_the_known_name_takes_its_place() {
        let known = Some("app.svc.");
        let wildcard = ("app.corp.example.", Ok(()));
        let (asked, found) = walked("app", known, std::slice::from_ref(&wildcard)).await;
        assert_eq!(asked, ["app.ns.svc.", "app.svc."]);
        assert_eq!(found.unwrap_err(), Failure::NoName);
        // What comes before it does: it would have been found first.
        let (_, found) = walked("app", known, &[("app.ns.svc.", Ok(()))]).await;
        assert_eq!(found.unwrap(), "app.ns.svc.");
        for trouble in troubles() {
            let replies = [("app.ns.svc.", Err(trouble)), ("app.svc.", Ok(()))];
            let (_, found) = walked("app", known, &replies).await;
            assert_eq!(found.unwrap(), "app.svc.");
        }
        // One that the search list has no more does not bind.
        let (_, found) = walked("app", Some("app.old."), &[wildcard]).await;
        assert_eq!(found.unwrap(), "app.corp.example.");
    }
}
