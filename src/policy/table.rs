//! What every block of a policy can do, and the macro that makes a config of the list of them.

use crate::tls::inventory::Inventory;
use crate::value::Toggle;
use crate::value::exposition::Metric;
use crate::value::problem::Problems;
use crate::value::template::HeaderTemplate;

use super::Config;

/// The block of a policy, as it stands under its key in `[routes.NAME]` and in `[defaults]`.
pub trait Block {
    /// What it counts.
    const METRICS: &[Metric] = &[];

    /// Fills in what holds where the block says nothing.
    fn with_defaults(&mut self) {}

    /// What deserializing alone cannot see.
    fn check(&self, _: &mut Problems) {}

    /// What is wrong only beside the route's other policies, those of `[defaults]` included.
    fn check_beside(&self, _others: &Config, _: &mut Problems) {}

    /// What other rooms have to know of a route with this block.
    fn tell(&self, _: &mut Summary) {}

    /// The same of a route on which it is turned off.
    fn tell_off(_: &mut Summary) {}
}

impl<T: Block> Block for Toggle<T> {
    const METRICS: &[Metric] = T::METRICS;

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

    fn check_beside(&self, others: &Config, problems: &mut Problems) {
        if let Toggle::On(block) = self {
            block.check_beside(others, problems);
        }
    }

    fn tell(&self, summary: &mut Summary) {
        match self {
            Toggle::On(block) => block.tell(summary),
            Toggle::Off => T::tell_off(summary),
        }
    }
}

/// What other rooms have to know of a route's policies.
#[derive(Default)]
pub struct Summary {
    /// Not even a request that certainly was not processed is sent once more.
    pub never_resends: bool,
    /// The route says itself which requests are sent again.
    pub retries: bool,
    /// A value names the upstream that gets the request, so that it has to be settled first.
    pub names_upstream: bool,
    /// Answers are put into an envelope, also those that the proxy makes out of a failure.
    pub has_envelope: bool,
    /// Preflights of CORS are answered here, and not by the upstream.
    pub answers_preflights: bool,
    /// Keys for which it matters who a caller has proven to be, with what happens where nobody can prove it.
    pub identities: Vec<(&'static [&'static str], &'static str)>,
    /// The values of headers, each behind the keys that lead to it.
    pub values: Vec<([String; 3], HeaderTemplate)>,
    /// The CAs by which policies believe other servers.
    pub certificates: Inventory,
}

/// Makes [`Config`] of a list of blocks: `key: type;`, or `key: type = what holds where nobody says anything;`.
macro_rules! blocks {
    ($($(#[doc = $doc:literal])* $key:ident: $block:ty $(= $default:expr)?;)*) => {
        /// The policy keys of `[routes.NAME]` and `[defaults]`, in the order in which a request meets them.
        #[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
        #[serde(deny_unknown_fields, default)]
        pub struct Config {
            $($(#[doc = $doc])* pub $key: Option<$block>,)*
        }

        impl Config {
            /// What the policies count.
            pub const METRICS: &[&[Metric]] = &[$(<$block as Block>::METRICS),*];

            /// These policies, and the defaults for what is not set here. `false` counts as set.
            pub fn or(self, defaults: &Config) -> Config {
                Config { $($key: self.$key.or_else(|| defaults.$key.clone()),)* }
            }

            /// The same with what holds where nobody says anything.
            pub fn with_defaults(mut self) -> Config {
                $($(self.$key.get_or_insert($default);)?)*
                $(if let Some(block) = &mut self.$key {
                    block.with_defaults();
                })*
                self
            }

            /// What is wrong with each block by itself.
            pub fn check(&self, problems: &mut Problems) {
                $(if let Some(block) = &self.$key {
                    problems.within(&[stringify!($key)], |problems| block.check(problems));
                })*
            }

            /// What is wrong only with policies beside each other, those of `[defaults]` included.
            pub fn check_together(&self, problems: &mut Problems) {
                $(if let Some(block) = &self.$key {
                    problems.within(&[stringify!($key)], |problems| block.check_beside(self, problems));
                })*
            }

            /// What other rooms have to know.
            pub fn summary(&self) -> Summary {
                let mut summary = Summary::default();
                $(if let Some(block) = &self.$key {
                    block.tell(&mut summary);
                })*
                summary
            }
        }
    };
}

pub(super) use blocks;
