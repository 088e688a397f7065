//! The policies of a route once they were checked: the only ones that are put to use.

use std::sync::Arc;

use serde::Serialize;

use super::Config;
use super::build::Build;
use super::material::{Material, Opened};
use crate::http::handler::Handler;
use crate::tls::inventory::Inventory;

/// The blocks of a route's policies, and what was opened of them. It serializes as it was written.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Checked {
    pub config: Config,
    #[serde(skip)]
    opened: Vec<Arc<Material>>,
}

impl Checked {
    /// None when a block of `config` was not opened, or names what is not fit to serve. The certificates that were found
    /// are added in any case.
    pub fn new(config: Config, mut opened: Opened, found: &mut Inventory) -> Option<Self> {
        let mut fit = Some(Vec::new());
        for key in config.set() {
            let material = opened.0.remove(key).and_then(|opened| {
                found.append(&[key], &opened.inventory);
                opened.material
            });
            fit = fit.zip(material).map(|(mut fit, material)| {
                fit.push(material);
                fit
            });
        }
        let opened = fit?;
        Some(Checked { config, opened })
    }

    /// The same with what holds where nobody says anything.
    pub fn with_defaults(self) -> Self {
        Checked {
            config: self.config.with_defaults(),
            ..self
        }
    }

    /// Lays the policies that this asks for over `target`.
    pub fn stack(&self, build: &mut Build<'_>, target: Box<dyn Handler>) -> Box<dyn Handler> {
        self.config.stack(&self.opened, build, target)
    }
}
