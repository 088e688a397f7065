//! Which of several a caller goes to: weighted rendezvous hashing (Thaler and Ravishankar, 1998; weights as in
//! Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", 2005, the logarithmic method).
//!
//! Each of them draws bits for a caller, and the best draw wins. It depends on names and weights alone, and is the same in
//! every process: of one that goes, only its own callers move, and spread over the others; one that gains weight wins
//! callers and trades none between the others. Sidecars of different versions must agree, so nothing here may change
//! what is drawn.

/// FNV-1a (RFC 9923): quick for short texts, but it leaves the high bits of these much alike.
pub fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

/// Spreads every bit of `x` over all bits: the finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable
/// pseudorandom number generators", 2014).
#[inline]
pub fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// FNV-1a, its bits then mixed.
pub fn hash(bytes: &[u8]) -> u64 {
    mix(fnv(bytes))
}

/// What one of several draws for a caller.
pub struct Draw<T> {
    pub bits: u64,
    /// Above 0.
    pub weight: u32,
    pub what: T,
}

/// The one that wins the race of all. The exponential variate of rate `weight` that comes first wins with a chance in
/// proportion to its weight.
pub fn winner<T>(draws: impl Iterator<Item = Draw<T>>) -> Option<T> {
    let time = |draw: &Draw<T>| {
        // 53 bits, the precision of an f64, in (0, 1].
        let uniform = ((draw.bits >> 11) + 1) as f64 / (1u64 << 53) as f64;
        -uniform.ln() / f64::from(draw.weight)
    };
    let timed = draws.map(|draw| (time(&draw), draw.what));
    let first = timed.min_by(|a, b| a.0.total_cmp(&b.0));
    first.map(|(_, what)| what)
}

/// The same where all have the same weight, without the logarithms.
pub fn even_winner<T>(draws: impl Iterator<Item = (u64, T)>) -> Option<T> {
    let best = draws.max_by_key(|(bits, _)| *bits);
    best.map(|(_, what)| what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hashes_stay_as_they_are() {
        assert_eq!(fnv(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(hash(b"foobar"), mix(fnv(b"foobar")));
        assert_eq!(mix(1), 0x5692_161d_100b_05e5);
    }

    #[test]
    fn callers_are_shared_out_by_weight() {
        let mut won = [0; 3];
        for caller in 0..30_000 {
            let draw = |what: usize| Draw {
                bits: mix(mix(caller) ^ fnv(&[what as u8])),
                weight: [1, 2, 3][what],
                what,
            };
            won[winner((0..3).map(draw)).unwrap()] += 1;
        }
        for (won, expected) in won.into_iter().zip([5_000_i32, 10_000, 15_000]) {
            assert!((won - expected).abs() < 500, "{won}");
        }
        assert!(winner(std::iter::empty::<Draw<()>>()).is_none());
    }

    proptest! {
        #[test]
        fn without_weights_the_best_draw_wins(bits in proptest::collection::vec(any::<u64>(), 1..9)) {
            let draws = bits.iter().map(|bits| Draw { bits: *bits, weight: 7, what: *bits >> 11 });
            let even = bits.iter().map(|bits| (*bits, *bits >> 11));
            prop_assert_eq!(winner(draws), even_winner(even));
        }
    }
}
