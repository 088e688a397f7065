//! Tokens that were verified before: a caller sends the same one with every request, and verifying it costs more
//! than forwarding the request.

use std::sync::Arc;
use std::time::SystemTime;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::verify::{Rules, ValidToken, Validity};
use crate::http::message::Claims;

/// How much is remembered for a route, in bytes of tokens. A token's claims are about as long as itself.
const ROOM: u64 = 2 << 20;
/// About how many tokens that is.
const TOKENS: usize = 2 << 10;

/// Tokens by their whole text, signature included. Only those that were believed are remembered, so strangers cannot
/// fill it, and only for as long as the keys are the same.
pub(super) struct Verified(Cache<Box<str>, Arc<Entry>, Length>);

struct Entry {
    /// The key set that verified it.
    keys: u64,
    validity: Validity,
    claims: Arc<Claims>,
}

#[derive(Clone)]
struct Length;

impl Weighter<Box<str>, Arc<Entry>> for Length {
    fn weight(&self, token: &Box<str>, _: &Arc<Entry>) -> u64 {
        token.len() as u64
    }
}

impl Verified {
    pub fn new() -> Self {
        Verified(Cache::with_weighter(TOKENS, ROOM, Length))
    }

    /// What a token says that these keys have verified, if it still holds.
    pub fn get(
        &self,
        token: &str,
        keys: u64,
        rules: &Rules,
        now: SystemTime,
    ) -> Option<Arc<Claims>> {
        let entry = self.0.get(token)?;
        let holds = entry.keys == keys && rules.check_validity(entry.validity, now).is_ok();
        holds.then(|| entry.claims.clone())
    }

    pub fn put(&self, token: &str, keys: u64, valid: ValidToken) -> Arc<Claims> {
        let ValidToken { claims, validity } = valid;
        let claims = Arc::new(claims);
        let entry = Entry {
            keys,
            validity,
            claims: claims.clone(),
        };
        self.0.insert(token.into(), Arc::new(entry));
        claims
    }
}
