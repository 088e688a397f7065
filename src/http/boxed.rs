//! Boxes whose content is made where it stays.
//!
//! `Box::new(make())` makes it on the stack and copies it from there. A request is 488 bytes, the future of its answer 1,168:
//! a hundred instructions and more for each copy, several times a request.

use std::pin::Pin;

/// What `make` gives back, in a box.
#[inline(always)]
pub fn boxed<T>(make: impl FnOnce() -> T) -> Box<T> {
    let place = Box::new_uninit();
    Box::write(place, make())
}

/// The same for a future.
#[inline(always)]
pub fn pinned<T>(make: impl FnOnce() -> T) -> Pin<Box<T>> {
    Box::into_pin(boxed(make))
}
