//! What comes of opening the files that a block names.

use std::any::Any;
use std::sync::Arc;

use super::inventory::Inventory;

/// What was read from the files of a block when the config was checked: what serves is what was checked, even if the
/// files change in between.
#[derive(Debug)]
pub struct Opened<T: ?Sized> {
    /// None when a file is not fit to serve, which is an error of the config.
    pub material: Option<Arc<T>>,
    /// What was found in the files, also in those that are not fit.
    pub inventory: Inventory,
}

impl<T: ?Sized> Opened<T> {
    /// What needs no certificate.
    pub fn without_certificates(material: Option<Arc<T>>) -> Self {
        Opened {
            material,
            inventory: Inventory::default(),
        }
    }
}

impl<T> Opened<T> {
    /// The same with something else made of it.
    pub fn map<U>(self, make: impl FnOnce(Arc<T>) -> U) -> Opened<U> {
        Opened {
            material: self.material.map(make).map(Arc::new),
            inventory: self.inventory,
        }
    }

    /// The same, as a block has it in which all this stands under `key`.
    pub fn under(self, key: &str) -> Self {
        let mut inventory = Inventory::default();
        inventory.append(&[key], &self.inventory);
        Opened { inventory, ..self }
    }
}

impl<T: Any + Send + Sync> Opened<T> {
    /// The same, with a type that is found out when it is asked for.
    pub fn any(self) -> Opened<dyn Any + Send + Sync> {
        Opened {
            material: self.material.map(|material| material as _),
            inventory: self.inventory,
        }
    }
}

impl Opened<dyn Any + Send + Sync> {
    /// Of a block that names no files.
    pub fn nothing() -> Self {
        Opened::without_certificates(Some(Arc::new(())))
    }
}

impl<T: ?Sized> Clone for Opened<T> {
    fn clone(&self) -> Self {
        Opened {
            material: self.material.clone(),
            inventory: self.inventory.clone(),
        }
    }
}
