//! A path in the one form in which it is matched and forwarded.
