//! The buckets of a limit's keys: as many as may be remembered, and one for all the rest.
//!
//! Forgetting a key must not grant it anything. So only a key whose bucket is full is ever forgotten: it would
//! start with a full one anyway. While no such key is found, newcomers share one bucket, and whoever gets a bucket
//! of its own later starts with what the shared one owes, which is at least what it owes itself.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::bucket::{Bucket, Taken};
use super::sync::{AtomicUsize, Ordering, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

const SHARDS: usize = 16;

/// How many keys a newcomer looks at, at most, to find one that may be forgotten.
const LOOKED_AT: usize = 32;

/// A key, hashed with a secret: callers cannot choose where it lies.
pub type Id = u64;

#[derive(Default)]
pub struct Table {
    shards: [RwLock<Shard>; SHARDS],
    /// Keys in all shards, and those about to be put there.
    keys: AtomicUsize,
    shared: Bucket,
    /// The shard in which the next newcomer looks for keys to forget.
    hand: AtomicUsize,
}

/// A token of some key's bucket.
#[derive(Clone, Copy, Debug)]
pub struct KeyTaken {
    pub taken: Taken,
    from_shared: bool,
}

impl KeyTaken {
    /// Of a bucket that is the key's own.
    pub fn own(taken: Taken) -> Self {
        KeyTaken {
            taken,
            from_shared: false,
        }
    }
}

impl Table {
    /// Looks at the bucket of `id`. A key that is not known owes what it would start with.
    pub fn owed(&self, id: Id, count: u64) -> u64 {
        let shard = read(self.shard(id));
        shard.find(id).unwrap_or(&self.shared).owed(count)
    }

    /// Takes a token of the bucket of `id`, which is remembered from now on if fewer than `most` keys are.
    ///
    /// # Errors
    /// What the bucket owes already.
    pub fn take(&self, id: Id, count: u64, burst: u64, most: usize) -> Result<KeyTaken, u64> {
        if let Some(bucket) = read(self.shard(id)).find(id) {
            return bucket.take(count, burst).map(KeyTaken::own);
        }
        if !self.make_room(count, most) {
            let taken = self.shared.take(count, burst)?;
            return Ok(KeyTaken {
                taken,
                from_shared: true,
            });
        }
        let mut shard = write(self.shard(id));
        if shard.find(id).is_some() {
            // Another thread was faster.
            self.keys.fetch_sub(1, Ordering::Relaxed);
        }
        let bucket = shard.find_or_add(id, &self.shared, count);
        bucket.take(count, burst).map(KeyTaken::own)
    }

    /// The same buckets, apart from these.
    pub fn apart(&self) -> Self {
        Table {
            shards: std::array::from_fn(|index| RwLock::new(read(&self.shards[index]).apart())),
            keys: AtomicUsize::new(self.len()),
            shared: self.shared.apart(),
            hand: AtomicUsize::new(0),
        }
    }

    pub fn give_back(&self, id: Id, taken: KeyTaken, count: u64) {
        if taken.from_shared {
            self.shared.give_back(taken.taken, count);
        } else if let Some(bucket) = read(self.shard(id)).find(id) {
            bucket.give_back(taken.taken, count);
        }
        // A key that was forgotten meanwhile had a full bucket.
    }

    pub fn clamp(&self, count: u64, burst: u64) {
        self.shared.clamp(count, burst);
        for shard in &self.shards {
            for entry in &read(shard).entries {
                entry.bucket.clamp(count, burst);
            }
        }
    }

    /// Keys that are remembered.
    pub fn len(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    /// Whether keys have lately been too many to be remembered.
    pub fn overflows(&self, count: u64) -> bool {
        self.shared.owed(count) > 0
    }

    /// Reserves a place for a key, forgetting others if need be.
    fn make_room(&self, count: u64, most: usize) -> bool {
        loop {
            let one_more = |keys| (keys < most).then_some(keys + 1);
            let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
            if self.keys.fetch_update(set, fetch, one_more).is_ok() {
                return true;
            }
            if !self.forget_some(count) {
                return false;
            }
        }
    }

    /// Forgets keys whose bucket is full again; says whether there were any.
    fn forget_some(&self, count: u64) -> bool {
        let mut left = LOOKED_AT;
        let first = self.hand.fetch_add(1, Ordering::Relaxed);
        for step in 0..SHARDS {
            let mut shard = write(&self.shards[first.wrapping_add(step) % SHARDS]);
            let forgotten = shard.forget_full(count, &mut left);
            drop(shard);
            if forgotten > 0 {
                self.keys.fetch_sub(forgotten, Ordering::Relaxed);
                return true;
            }
            if left == 0 {
                break;
            }
        }
        false
    }

    fn shard(&self, id: Id) -> &RwLock<Shard> {
        // The map below looks at the low bits and the highest seven.
        &self.shards[(id >> 32) as usize % SHARDS]
    }
}

#[derive(Default)]
struct Shard {
    places: HashMap<Id, usize, BuildHasherDefault<Hashed>>,
    entries: Vec<Entry>,
    /// The entry that is looked at next.
    hand: usize,
}

struct Entry {
    id: Id,
    bucket: Bucket,
}

impl Shard {
    fn apart(&self) -> Self {
        let entry = |entry: &Entry| Entry {
            id: entry.id,
            bucket: entry.bucket.apart(),
        };
        Shard {
            places: self.places.clone(),
            entries: self.entries.iter().map(entry).collect(),
            hand: self.hand,
        }
    }

    fn find(&self, id: Id) -> Option<&Bucket> {
        let place = *self.places.get(&id)?;
        Some(&self.entries[place].bucket)
    }

    fn find_or_add(&mut self, id: Id, start_like: &Bucket, count: u64) -> &Bucket {
        let next = self.entries.len();
        let place = *self.places.entry(id).or_insert(next);
        if place == next {
            let bucket = Bucket::like(start_like, count);
            self.entries.push(Entry { id, bucket });
        }
        &self.entries[place].bucket
    }

    /// Looks at no more than `left` entries; says how many it has forgotten.
    fn forget_full(&mut self, count: u64, left: &mut usize) -> usize {
        let before = self.entries.len();
        let mut to_look_at = before.min(*left);
        *left -= to_look_at;
        while to_look_at > 0 {
            to_look_at -= 1;
            if self.hand >= self.entries.len() {
                self.hand = 0;
            }
            if self.entries[self.hand].bucket.owed(count) > 0 {
                self.hand += 1;
                continue;
            }
            let gone = self.entries.swap_remove(self.hand);
            self.places.remove(&gone.id);
            if let Some(moved) = self.entries.get(self.hand) {
                self.places.insert(moved.id, self.hand);
            }
        }
        before - self.entries.len()
    }
}

fn read(shard: &RwLock<Shard>) -> RwLockReadGuard<'_, Shard> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &RwLock<Shard>) -> RwLockWriteGuard<'_, Shard> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

/// For keys that are hashes already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
