//! What follows from the list of targets.

use futures_util::future::BoxFuture;

use super::block::{Asked, Block, Build, Named, Opened, Options};
use super::health::{Part, Seen};
use super::rehearsal::Rehearsing;
use super::settle::ChooseUpstream;
use crate::broker::{Address, Kind};
use crate::database;
use crate::http::handler::Handler;
use crate::value::captures;
use crate::value::problem::Problems;
use crate::value::template::HeaderTemplate;

/// Makes `Config`, the keys of `[routes.NAME]` that say where its requests go, out of a list of targets: each a key
/// and the type of its block, which is a [`Block`]; two keys of the same type do not compile. Before them stand the keys
/// that are known, but not built yet.
macro_rules! targets {
    (not built: $($later:ident),*; $($(#[$doc:meta])* $key:ident: $block:ty,)+) => {
        /// The keys of `[routes.NAME]` that say where its requests go.
        #[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
        #[serde(deny_unknown_fields)]
        pub struct Config {
            $($(#[$doc])* pub $key: Option<$block>,)+
            $(#[serde(default, skip_serializing)] pub $later: Option<$crate::value::NotBuilt>,)*
            /// Keep a caller on one side of the split: `"header:NAME"`, `"cookie:NAME"` or `"client-ip"`.
            pub sticky: Option<$crate::http::caller_key::CallerKey>,
            /// Change path or `Host` on the way to the upstream.
            pub rewrite: Option<$crate::target::rewrite::RewriteConfig>,
            /// Send a copy of some requests to another upstream, and throw its answer away.
            pub mirror: Option<$crate::target::mirror::MirrorConfig>,
        }

        /// The key of a block.
        trait Key {
            const KEY: &'static str;
        }

        $(impl Key for $block {
            const KEY: &'static str = stringify!($key);
        })+

        impl $crate::target::Targets for Config {
            const KEYS: &'static [&'static str] = &[$(<$block as Key>::KEY),+];

            fn blocks(&self) -> Vec<(&'static str, &dyn $crate::target::Block)> {
                let mut blocks: Vec<(&'static str, &dyn $crate::target::Block)> = Vec::new();
                $(if let Some(block) = &self.$key {
                    blocks.push((<$block as Key>::KEY, block));
                })+
                blocks
            }

            fn options(&self) -> $crate::target::Options<'_> {
                $crate::target::Options {
                    sticky: self.sticky.as_ref(),
                    rewrite: self.rewrite.as_ref(),
                    mirror: self.mirror.as_ref(),
                }
            }
        }
    };
}

pub(super) use targets;

/// The targets that a route may have, of which it has one.
pub trait Targets {
    /// The key of each.
    const KEYS: &'static [&'static str];

    /// Those that are set, by their keys, in the order of the list.
    fn blocks(&self) -> Vec<(&'static str, &dyn Block)>;

    /// The keys beside them.
    fn options(&self) -> Options<'_>;

    /// Whether an upstream gets the requests.
    fn is_forwarded(&self) -> bool {
        self.blocks().iter().any(|(_, block)| block.is_forwarded())
    }

    /// The upstreams that are named, and under which keys.
    fn upstreams(&self) -> Vec<Named<'_>> {
        let mut named = Vec::new();
        for (key, block) in self.blocks() {
            for (name, keys) in block.upstreams() {
                named.push((name, [&[key.to_owned()][..], &keys].concat()));
            }
        }
        if let Some(mirror) = self.options().mirror {
            let keys = ["mirror", "upstream"].map(str::to_owned);
            named.push((mirror.upstream.as_str(), keys.to_vec()));
        }
        named
    }

    /// The brokers that are named, and under which keys.
    fn brokers(&self) -> Vec<Named<'_>> {
        let mut named = Vec::new();
        for (key, block) in self.blocks() {
            for (name, keys) in block.brokers() {
                named.push((name, [&[key.to_owned()][..], &keys].concat()));
            }
        }
        named
    }

    /// The broker that is published to, and where there.
    fn publishes(&self) -> Option<(&str, Address<HeaderTemplate>)> {
        let mut blocks = self.blocks().into_iter();
        blocks.find_map(|(_, block)| block.publishes())
    }

    /// The databases that are named, and under which keys.
    fn databases(&self) -> Vec<Named<'_>> {
        let mut named = Vec::new();
        for (key, block) in self.blocks() {
            for (name, keys) in block.databases() {
                named.push((name, [&[key.to_owned()][..], &keys].concat()));
            }
        }
        named
    }

    /// What can be told once the kinds of the databases are known.
    fn check_databases(
        &self,
        kind_of: &dyn Fn(&str) -> Option<database::Kind>,
        opened: &Opened,
        problems: &mut Problems,
    ) {
        for (key, block) in self.blocks() {
            for (name, _) in block.databases() {
                if let Some(kind) = kind_of(name) {
                    problems.within(&[key], |p| block.check_database(kind, opened, p));
                }
            }
        }
    }

    /// What the database `asked` says of what it is to run.
    ///
    /// # Errors
    /// Why it cannot be asked, in words for operators.
    fn check_live<'a>(
        &'a self,
        asked: Asked<'a>,
        opened: &'a Opened,
    ) -> BoxFuture<'a, Result<Problems, String>> {
        let blocks = self.blocks().into_iter();
        let answers: Vec<_> = blocks
            .map(|(key, block)| (key, block.check_live(asked, opened)))
            .collect();
        Box::pin(async move {
            let mut problems = Problems::default();
            for (key, answer) in answers {
                let found = answer.await?;
                problems.within(&[key], |problems| problems.append(found));
            }
            Ok(problems)
        })
    }

    /// What can be told once the kinds of the brokers are known.
    fn check_brokers(&self, kind_of: &dyn Fn(&str) -> Option<Kind>, problems: &mut Problems) {
        for (key, block) in self.blocks() {
            for (name, _) in block.brokers() {
                if let Some(kind) = kind_of(name) {
                    problems.within(&[key], |problems| block.check_broker(kind, problems));
                }
            }
        }
    }

    /// What can be told of the methods that the route's `match` names.
    fn check_methods(&self, methods: &[&http::Method], problems: &mut Problems) {
        for (_, block) in self.blocks() {
            problems.within(&["match", "methods"], |problems| {
                block.check_methods(methods, problems);
            });
        }
    }

    /// Opens what the target names on this machine.
    fn open(&self, problems: &mut Problems) -> Opened {
        let mut opened = Opened::default();
        for (key, block) in self.blocks() {
            opened = problems.within(&[key], |problems| block.open(problems));
        }
        opened
    }

    /// What deserializing alone cannot see, except whether the upstreams exist. `known` are the names that the
    /// route's path gives to its parts.
    fn check(&self, known: &[&str], problems: &mut Problems) {
        let (blocks, options) = (self.blocks(), self.options());
        check_one(Self::KEYS, &blocks, problems);
        if !blocks.is_empty() && !self.is_forwarded() {
            options.check_unused(problems);
        }
        if options.sticky.is_some() && !blocks.iter().any(|(_, block)| block.has_sides()) {
            problems.error(
                &["sticky"],
                "`sticky` keeps a caller on one side of a `split`, and this route has none",
            );
        }
        if let Some(path) = options.rewrite.and_then(|rewrite| rewrite.path.as_ref()) {
            captures::check(known, &["rewrite", "path"], path.captures(), "", problems);
        }
        if let Some(mirror) = options.mirror {
            problems.within(&["mirror"], |problems| mirror.check(problems));
        }
        for (key, block) in blocks {
            problems.within(&[key], |problems| block.check(known, problems));
        }
    }

    /// The key of the target that is set, and how what it needs is doing.
    fn health(&self, seen: &Seen<'_>) -> (&'static str, Vec<Part>) {
        match self.blocks().first() {
            Some((key, block)) => (key, block.health(seen)),
            None => ("", Vec::new()),
        }
    }

    /// What settles which upstream gets a request, where one does.
    fn settled_by(&self) -> Option<Box<dyn ChooseUpstream>> {
        let (_, block) = *self.blocks().first()?;
        block.settled_by(self.options())
    }

    /// What tells where the route's requests would end. None as of [`Targets::build`].
    fn rehearse(&self, rehearsing: &Rehearsing<'_>) -> Option<Box<dyn Handler>> {
        let (_, block) = *self.blocks().first()?;
        block.rehearse(rehearsing, self.options())
    }

    /// What answers the route's requests. None when no target is set, or names an upstream that is not there: the
    /// checks say which.
    fn build(&self, build: &Build<'_>) -> Option<Box<dyn Handler>> {
        let (_, block) = *self.blocks().first()?;
        block.build(build, self.options())
    }
}

/// Reports where there is not one target.
fn check_one(keys: &[&str], blocks: &[(&'static str, &dyn Block)], problems: &mut Problems) {
    match blocks {
        [_] => {}
        [] => {
            problems
                .error(&[], "a route needs a target")
                .help(format!("set one of {}", either(keys)));
        }
        [(first, _), (second, _), ..] => {
            problems
                .error(
                    &[second],
                    format!("a route has one target, and this one has `{first}` already"),
                )
                .help("keep one of them");
        }
    }
}

/// Keys as a sentence has them: "`a`, `b` or `c`".
fn either(keys: &[&str]) -> String {
    let quoted: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    match quoted.as_slice() {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => quoted.concat(),
    }
}
