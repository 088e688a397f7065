//! What each kind of target is to the others: the block of its key.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{HeaderValue, Method};

use super::files::Root;
use super::health::{self, Part, Seen};
use super::mirror::MirrorConfig;
use super::rehearsal::{Answered, Rehearsing};
use super::rewrite::RewriteConfig;
use super::settle::ChooseUpstream;
use crate::broker::{Address, Client, Kind};
use crate::database;
use crate::http::caller_key::CallerKey;
use crate::http::handler::Handler;
use crate::upstream::{Resend, Upstream};
use crate::value::Name;
use crate::value::problem::Problems;
use crate::value::template::HeaderTemplate;

/// The name of an upstream, a broker or a database, and the keys under which it stands.
pub type Named<'c> = (&'c str, Vec<String>);

/// The block of a kind of target.
pub trait Block {
    /// What deserializing alone cannot see. `known` are the names that the route's path gives to its parts.
    fn check(&self, known: &[&str], problems: &mut Problems);

    /// What answers the requests. None when it names an upstream that is not there.
    fn build(&self, build: &Build<'_>, options: Options<'_>) -> Option<Box<dyn Handler>>;

    /// The same, where what answers only tells where requests would end.
    fn rehearse(
        &self,
        rehearsing: &Rehearsing<'_>,
        options: Options<'_>,
    ) -> Option<Box<dyn Handler>> {
        let rehearsal = rehearsing.rehearsal.clone();
        let target = self.build(&rehearsing.build, options)?;
        Some(Box::new(Answered { rehearsal, target }))
    }

    /// Whether an upstream gets the requests: such a route has the default policies, `rewrite` and `mirror`.
    fn is_forwarded(&self) -> bool {
        false
    }

    /// Whether `sticky` has something to choose from.
    fn has_sides(&self) -> bool {
        false
    }

    /// The upstreams that it names, each with the keys below its own.
    fn upstreams(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    /// The brokers that it names, each with the keys below its own.
    fn brokers(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    /// The broker that it publishes to, and where there.
    fn publishes(&self) -> Option<(&str, Address<HeaderTemplate>)> {
        None
    }

    /// What can be told once it is known what kind of broker the one is that it names.
    fn check_broker(&self, _: Kind, _: &mut Problems) {}

    /// The databases that it names, each with the keys below its own.
    fn databases(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    /// What can be told once it is known what kind of database the one is that it names, and what was opened.
    fn check_database(&self, _: database::Kind, _: &Opened, _: &mut Problems) {}

    /// What the database `asked` says of what it is to run; nothing where another one is named.
    ///
    /// # Errors
    /// Why it cannot be asked, in words for operators.
    fn check_live<'a>(
        &'a self,
        _asked: Asked<'a>,
        _opened: &'a Opened,
    ) -> BoxFuture<'a, Result<Problems, String>> {
        Box::pin(ready(Ok(Problems::default())))
    }

    /// How that is doing which answers the requests, as far as it is known without asking.
    fn health(&self, seen: &Seen<'_>) -> Vec<Part> {
        health::of_named(self, seen)
    }

    /// What can be told of the methods that the route's `match` names, at their places in that list.
    fn check_methods(&self, _: &[&Method], _: &mut Problems) {}

    /// Opens what it names on this machine.
    fn open(&self, _: &mut Problems) -> Opened {
        Opened::default()
    }

    /// How to tell which upstream gets a request before its policies see it.
    fn settled_by(&self, _: Options<'_>) -> Option<Box<dyn ChooseUpstream>> {
        None
    }
}

/// The keys beside a target that say how it is reached.
#[derive(Clone, Copy)]
pub struct Options<'c> {
    pub(super) sticky: Option<&'c CallerKey>,
    pub(super) rewrite: Option<&'c RewriteConfig>,
    pub(super) mirror: Option<&'c MirrorConfig>,
}

impl Options<'_> {
    /// Reports those that have nothing to act on, for no upstream gets the requests.
    pub(super) fn check_unused(&self, problems: &mut Problems) {
        if self.rewrite.is_some() {
            problems.error(
                &["rewrite"],
                "`rewrite` changes what an upstream sees, and this route has none",
            );
        }
        if self.mirror.is_some() {
            problems.error(
                &["mirror"],
                "`mirror` copies what an upstream gets, and this route has none",
            );
        }
    }
}

/// What a target names on this machine, once it was opened.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// The directory of `files`.
    pub(super) root: Option<Arc<Root>>,
    /// The text of the file that `sql` names.
    pub(super) text: Option<Arc<str>>,
}

/// The client of a database, and of what kind that is.
pub type Database = (Arc<dyn database::Client>, database::Kind);

/// A database that is asked what it thinks of statements.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub name: &'a str,
    pub kind: database::Kind,
    pub client: &'a dyn database::Client,
}

/// What a target is built with, beside its block.
pub struct Build<'a> {
    pub route: &'a Name,
    pub upstreams: &'a BTreeMap<Name, Arc<Upstream>>,
    pub brokers: &'a BTreeMap<Name, Arc<dyn Client>>,
    pub databases: &'a BTreeMap<Name, Database>,
    /// What is sent once more at once.
    pub resend: Resend,
    /// What `Allow` says of the route.
    pub allow: HeaderValue,
    /// The name under which the route's path captures its rest, if it does.
    pub rest: Option<&'a str>,
    pub opened: &'a Opened,
}

impl Build<'_> {
    /// The upstream of that name.
    pub fn upstream(&self, name: &str) -> Option<Arc<Upstream>> {
        self.upstreams.get(&name.parse::<Name>().ok()?).cloned()
    }

    /// The broker of that name.
    pub fn broker(&self, name: &str) -> Option<Arc<dyn Client>> {
        self.brokers.get(&name.parse::<Name>().ok()?).cloned()
    }

    /// The database of that name.
    pub fn database(&self, name: &str) -> Option<Database> {
        self.databases.get(&name.parse::<Name>().ok()?).cloned()
    }
}
