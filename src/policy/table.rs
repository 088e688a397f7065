//! What stands in the list of policies: blocks of the config, and what is made of them; and the macro that makes config
//! and stack of that list.

use std::any::Any;

use http::HeaderName;

use super::answered::ChangeFailure;
use super::build::Build;
use super::material::Material;
use super::orders::OrderKind;
use crate::http::error::Reason;
use crate::tls::Opened;
use crate::value::Toggle;
use crate::value::exposition::Metric;
use crate::value::problem::Problems;
use crate::value::template::HeaderTemplate;

/// The block of a policy, as it stands under its key in `[routes.NAME]` and in `[defaults]`.
pub trait Block: Sized {
    /// What the policy counts.
    const METRICS: &[Metric] = &[];

    /// What operators may order of it.
    const ORDERS: &[OrderKind] = &[];

    /// Why it may refuse a request, or fail one.
    const REASONS: &[Reason] = &[];

    /// What holds where nobody says anything: by default, that there is no such policy.
    fn by_default() -> Option<Self> {
        None
    }

    /// Fills in what holds where the block says nothing.
    fn with_defaults(&mut self) {}

    /// What deserializing alone cannot see.
    fn check(&self, _: &mut Problems) {}

    /// What is wrong only beside the route's other policies, those of `[defaults]` included.
    fn check_beside(&self, _others: &Blocks<'_>, _: &mut Problems) {}

    /// Opens the files that it names. What is made of them stands among the [`Blocks`] of what is built.
    fn open(&self, _: &mut Problems) -> Opened<Material> {
        Opened::nothing()
    }

    /// What other rooms have to know of a route with this block.
    fn tell(&self, _: &mut Summary) {}

    /// The same of a route on which it is turned off.
    fn tell_off(_: &mut Summary) {}
}

impl<T: Block> Block for Toggle<T> {
    const METRICS: &[Metric] = T::METRICS;
    const ORDERS: &[OrderKind] = T::ORDERS;
    const REASONS: &[Reason] = T::REASONS;

    fn by_default() -> Option<Self> {
        T::by_default().map(Toggle::On)
    }

    fn with_defaults(&mut self) {
        if let Toggle::On(block) = self {
            block.with_defaults();
        }
    }

    fn check(&self, problems: &mut Problems) {
        if let Toggle::On(block) = self {
            block.check(problems);
        }
    }

    fn check_beside(&self, others: &Blocks<'_>, problems: &mut Problems) {
        if let Toggle::On(block) = self {
            block.check_beside(others, problems);
        }
    }

    fn open(&self, problems: &mut Problems) -> Opened<Material> {
        match self {
            Toggle::On(block) => block.open(problems),
            Toggle::Off => Opened::nothing(),
        }
    }

    fn tell(&self, summary: &mut Summary) {
        match self {
            Toggle::On(block) => {
                summary.reasons.extend_from_slice(T::REASONS);
                block.tell(summary);
            }
            Toggle::Off => T::tell_off(summary),
        }
    }
}

/// What is made of a route's blocks, to be laid over its target: a [`Policy`](super::stack::Policy) or a
/// [`Filter`](super::stack::Filter).
pub trait FromBlocks: Sized {
    /// None when the route does not ask for it.
    fn from_blocks(blocks: &Blocks<'_>, build: &mut Build<'_>) -> Option<Self>;
}

/// A route's blocks, and what was opened of them, each of which is found by its type.
pub struct Blocks<'c>(pub(super) Vec<&'c dyn Any>);

impl<'c> Blocks<'c> {
    /// A block that is there and not turned off.
    pub fn on<T: Any>(&self) -> Option<&'c T> {
        self.get::<Toggle<T>>()?.on()
    }

    /// What stands under the key whose type is `T`, if somebody says anything; or what was opened of a block.
    pub fn get<T: Any>(&self) -> Option<&'c T> {
        self.0.iter().find_map(|block| block.downcast_ref())
    }
}

/// What other rooms have to know of a route's policies.
#[derive(Default)]
pub struct Summary {
    /// Not even a request that certainly was not processed is sent once more.
    pub never_resends: bool,
    /// The key of a credential that every request is sent with.
    pub credential: Option<&'static str>,
    /// The route says itself which requests are sent again.
    pub retries: bool,
    /// A value names the upstream that gets the request, so that it has to be settled first.
    pub names_upstream: bool,
    /// What is changed about the answer that the proxy makes out of a failure.
    pub change_failure: Option<ChangeFailure>,
    /// Preflights of CORS are answered here, and not by the upstream.
    pub answers_preflights: bool,
    /// Keys for which it matters who a caller has proven to be, with what happens where nobody can prove it.
    pub identities: Vec<(&'static [&'static str], &'static str)>,
    /// Why they may refuse a request, or fail one; some more than once.
    pub reasons: Vec<Reason>,
    /// Headers that carry a secret, whatever their names are.
    pub secret_headers: Vec<HeaderName>,
    /// The values of headers, each behind the keys that lead to it.
    pub values: Vec<([String; 3], HeaderTemplate)>,
}

/// Makes `Config`, the keys of `[routes.NAME]` and `[defaults]` that are about policies, and the stack of a route, of a
/// list in the order in which a request meets them. A line is `KEY: BLOCK => KIND MADE;`
///
/// - `BLOCK` is a [`Block`] or the [`Toggle`] of one; two keys of the same type do not compile.
/// - `MADE` is a policy that is made [`FromBlocks`]. One that is made of several blocks stands behind the last of them. A
///   line without `: BLOCK` has another policy that a key asks for, at its place.
/// - `KIND` is `filter` for what never waits, `policy` for what may, `repeat` for what calls the filter behind it and all below more
///   than once, and `always` for a policy that every route has: see [`Stack`](super::stack::Stack).
macro_rules! policies {
    ($($key:ident $(: $block:ty)? $(=> $kind:ident $made:ty)*;)*) => {
        /// The policy keys of `[routes.NAME]` and `[defaults]`, in the order in which a request meets them.
        #[derive(Clone, Debug, Default, ::serde::Deserialize, ::serde::Serialize, PartialEq)]
        #[serde(deny_unknown_fields, default)]
        pub struct Config {
            $($(pub $key: Option<$block>,)?)*
        }

        /// The key of a block, by whose type it is found.
        trait Key {
            const KEY: &'static str;
        }

        $($(impl Key for $block {
            const KEY: &'static str = stringify!($key);
        })?)*

        impl Config {
            /// What the policies count.
            pub const METRICS: &[&[$crate::value::exposition::Metric]] =
                &[$($(<$block as $crate::policy::table::Block>::METRICS,)?)*];

            /// What operators may order of them.
            pub const ORDERS: &[&[$crate::policy::orders::OrderKind]] =
                &[$($(<$block as $crate::policy::table::Block>::ORDERS,)?)*];

            /// These policies, and the defaults for what is not set here. `false` counts as set.
            pub fn or(self, defaults: &Config) -> Config {
                Config { $($($key: Option::<$block>::or_else(self.$key, || defaults.$key.clone()),)?)* }
            }

            /// The same with what holds where nobody says anything.
            pub fn with_defaults(mut self) -> Config {
                use $crate::policy::table::Block;
                $($(
                    self.$key = self.$key.or_else(<$block>::by_default);
                    if let Some(block) = &mut self.$key {
                        block.with_defaults();
                    }
                )?)*
                self
            }

            /// What is wrong with each block by itself.
            pub fn check(&self, problems: &mut $crate::value::problem::Problems) {
                $($(if let Some(block) = &self.$key {
                    let check = <$block as $crate::policy::table::Block>::check;
                    problems.within(&[stringify!($key)], |problems| check(block, problems));
                })?)*
            }

            /// What is wrong only with policies beside each other, those of `[defaults]` included.
            pub fn check_together(&self, problems: &mut $crate::value::problem::Problems) {
                let blocks = self.blocks();
                $($(if let Some(block) = &self.$key {
                    let check = <$block as $crate::policy::table::Block>::check_beside;
                    problems.within(&[stringify!($key)], |problems| check(block, &blocks, problems));
                })?)*
            }

            /// Opens what the blocks name.
            pub fn open(
                &self,
                problems: &mut $crate::value::problem::Problems,
            ) -> $crate::policy::material::Opened {
                let mut opened = $crate::policy::material::Opened::default();
                $($(if let Some(block) = &self.$key {
                    let key = stringify!($key);
                    let open = <$block as $crate::policy::table::Block>::open;
                    opened.0.insert(key, problems.within(&[key], |problems| open(block, problems)));
                })?)*
                opened
            }

            /// The keys that are set, in their order.
            pub fn set(&self) -> Vec<&'static str> {
                let mut keys = Vec::new();
                $($(if Option::<$block>::is_some(&self.$key) {
                    keys.push(<$block as Key>::KEY);
                })?)*
                keys
            }

            /// What other rooms have to know.
            pub fn summary(&self) -> $crate::policy::table::Summary {
                let mut summary = $crate::policy::table::Summary::default();
                $($(if let Some(block) = &self.$key {
                    <$block as $crate::policy::table::Block>::tell(block, &mut summary);
                })?)*
                summary
            }

            /// Lays the policies that this asks for over `target`.
            pub(in $crate::policy) fn stack(
                &self,
                opened: &[std::sync::Arc<$crate::policy::material::Material>],
                build: &mut $crate::policy::build::Build<'_>,
                target: Box<dyn $crate::http::handler::Handler>,
            ) -> Box<dyn $crate::http::handler::Handler> {
                let mut blocks = self.blocks();
                blocks.0.extend(opened.iter().map(|opened| &**opened as &dyn std::any::Any));
                let stack = $crate::policy::stack::Stack::<()>::default();
                $($(
                    build.key = stringify!($key);
                    let stack = stack.$kind(<$made as $crate::policy::table::FromBlocks>::from_blocks(&blocks, build));
                )*)*
                stack.over(target)
            }

            fn blocks(&self) -> $crate::policy::table::Blocks<'_> {
                let mut blocks: Vec<&dyn std::any::Any> = Vec::new();
                $($(if let Some(block) = &self.$key {
                    blocks.push(block as &$block);
                })?)*
                $crate::policy::table::Blocks(blocks)
            }
        }
    };
}

pub(super) use policies;
