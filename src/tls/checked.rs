//! A block that may speak TLS, once it was checked.

use std::sync::Arc;

use serde::Serialize;

/// A block that has the key `tls`.
pub trait MaySpeakTls {
    /// What stands under the key.
    type Tls;
    /// What its files held.
    type Material;

    fn tls(&self) -> Option<&Self::Tls>;
}

/// A block, and what was opened of its `tls`. Only this can be put to use. It serializes as it was written.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Checked<C: MaySpeakTls> {
    pub config: C,
    #[serde(skip)]
    tls: Option<Arc<C::Material>>,
}

impl<C: MaySpeakTls> Checked<C> {
    /// `tls` is what was opened of the key of that name; None when that is missing.
    pub fn new(config: C, tls: Option<Arc<C::Material>>) -> Option<Self> {
        (config.tls().is_some() == tls.is_some()).then_some(Checked { config, tls })
    }

    /// How TLS is to be spoken.
    pub fn tls(&self) -> Option<(&C::Tls, &Arc<C::Material>)> {
        self.config.tls().zip(self.tls.as_ref())
    }
}

impl<C: MaySpeakTls + Clone> Clone for Checked<C> {
    fn clone(&self) -> Self {
        Checked {
            config: self.config.clone(),
            tls: self.tls.clone(),
        }
    }
}
