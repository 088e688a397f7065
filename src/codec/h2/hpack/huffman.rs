//! The Huffman code of HPACK (RFC 7541, section 5.2 and appendix B), decoded by table.
//!
//! The code is canonical, so the lengths of its words say everything: words of one length are consecutive numbers,
//! in order of their symbols.

/// Length in bits of each symbol's word; the last is the end of string, which may not occur.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];
const SYMBOLS: usize = 257;
const END_OF_STRING: u16 = 256;
const LONGEST: usize = 30;
/// Words up to this length, which is nearly all of usual text, are found by one look.
const FAST: usize = 9;

/// By the next [`FAST`] bits: the symbol, and in the upper byte the length of its word; 0 for a longer one.
static SHORT: [u16; 1 << FAST] = short();
/// Symbols in order of their words.
static ORDERED: [u16; SYMBOLS] = ordered();
/// By length: the first word beyond those of this length, moved to the upper end of 32 bits.
static LIMITS: [u32; LONGEST + 1] = limits().0;
/// By length: what to add to a word for its place in [`ORDERED`].
static PLACES: [i64; LONGEST + 1] = limits().1;

const fn ordered() -> [u16; SYMBOLS] {
    let mut ordered = [0; SYMBOLS];
    let (mut place, mut length) = (0, 1);
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                ordered[place] = symbol as u16;
                place += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    ordered
}

const fn limits() -> ([u32; LONGEST + 1], [i64; LONGEST + 1]) {
    let mut limits = [0; LONGEST + 1];
    let mut places = [0; LONGEST + 1];
    let (mut word, mut place, mut length) = (0u64, 0i64, 1);
    while length <= LONGEST {
        word <<= 1;
        places[length] = place - word as i64;
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                word += 1;
                place += 1;
            }
            symbol += 1;
        }
        let limit = word << (32 - length);
        limits[length] = if limit > u32::MAX as u64 {
            u32::MAX
        } else {
            limit as u32
        };
        length += 1;
    }
    (limits, places)
}

const fn short() -> [u16; 1 << FAST] {
    let mut short = [0; 1 << FAST];
    let ordered = ordered();
    let (mut next, mut place) = (0usize, 0);
    while place < SYMBOLS {
        let symbol = ordered[place];
        let length = LENGTHS[symbol as usize] as usize;
        if length > FAST {
            break;
        }
        let mut copies = 1usize << (FAST - length);
        while copies > 0 {
            short[next] = (length as u16) << 8 | symbol;
            next += 1;
            copies -= 1;
        }
        place += 1;
    }
    short
}

/// A string that is not of this code.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// Appends what `coded` stands for.
///
/// # Errors
/// It holds the end of string, or ends with anything but up to seven bits of its beginning.
pub fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    // The shortest word has five bits.
    out.reserve(coded.len() * 8 / 5);
    let mut bytes = coded.iter();
    let (mut bits, mut count) = (0u64, 0u32);
    loop {
        while count <= 56
            && let Some(byte) = bytes.next()
        {
            bits |= u64::from(*byte) << (56 - count);
            count += 8;
        }
        let (symbol, length) = next((bits >> 32) as u32);
        if length > count {
            // What is left must be padding: ones, and less than a byte.
            let padding = count < 8 && bits >> (64 - count.max(1)) == (1 << count) - 1;
            return if padding || count == 0 {
                Ok(())
            } else {
                Err(Malformed)
            };
        }
        if symbol == END_OF_STRING {
            return Err(Malformed);
        }
        out.push(symbol as u8);
        bits <<= length;
        count -= length;
    }
}

/// The symbol whose word the bits begin with, and the word's length.
fn next(bits: u32) -> (u16, u32) {
    let entry = SHORT[(bits >> (32 - FAST)) as usize];
    if entry > 0 {
        return (entry & 0xff, u32::from(entry >> 8));
    }
    let mut length = FAST + 1;
    while length < LONGEST && bits >= LIMITS[length] {
        length += 1;
    }
    let word = i64::from(bits >> (32 - length));
    let place = usize::try_from(word + PLACES[length]).unwrap_or(SYMBOLS);
    let symbol = ORDERED.get(place).copied().unwrap_or(END_OF_STRING);
    (symbol, length as u32)
}

/// The code's own words, for tests that must write it.
#[cfg(test)]
pub fn encode(text: &[u8], out: &mut Vec<u8>) {
    let word = |symbol: usize| {
        let length = LENGTHS[symbol];
        let place = ORDERED.iter().position(|s| usize::from(*s) == symbol);
        (place.unwrap() as i64 - PLACES[usize::from(length)], length)
    };
    let (mut bits, mut count) = (0u64, 0);
    for byte in text {
        let (word, length) = word(usize::from(*byte));
        bits = bits << length | word as u64;
        count += length;
        while count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    if count > 0 {
        out.push((bits << (8 - count)) as u8 | 0xff >> count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(coded: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::new();
        decode(coded, &mut out).map(|()| out)
    }

    #[test]
    fn the_examples_of_the_standard() {
        // RFC 7541, appendix C.4 and C.6.
        for (text, coded) in [
            ("www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"),
            ("no-cache", "a8eb10649cbf"),
            ("custom-value", "25a849e95bb8e8b4bf"),
            ("302", "6402"),
            (
                "Mon, 21 Oct 2013 20:13:21 GMT",
                "d07abe941054d444a8200595040b8166e082a62d1bff",
            ),
            (
                "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
                "94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
            ),
        ] {
            let coded: Vec<u8> = (0..coded.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&coded[at..at + 2], 16).unwrap())
                .collect();
            assert_eq!(decoded(&coded).unwrap(), text.as_bytes());
            let mut written = Vec::new();
            encode(text.as_bytes(), &mut written);
            assert_eq!(written, coded);
        }
    }

    #[test]
    fn an_end_that_is_no_padding_is_refused() {
        assert_eq!(decoded(b""), Ok(vec![]));
        // A whole byte of padding, padding of zeros, and the end of string itself.
        assert_eq!(decoded(&[0xff]), Err(Malformed));
        assert_eq!(decoded(&[0x1f, 0xff]), Err(Malformed));
        assert_eq!(decoded(&[0b0000_0000]), Err(Malformed));
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), Err(Malformed));
        assert_eq!(decoded(&[0b0001_1111]), Ok(b"a".to_vec()));
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut coded = Vec::new();
            encode(&text, &mut coded);
            prop_assert_eq!(decoded(&coded), Ok(text));
        }

        /// The code is complete: what decodes is what its text encodes to.
        #[test]
        fn nothing_is_read_in_two_ways(coded in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(text) = decoded(&coded) {
                let mut again = Vec::new();
                encode(&text, &mut again);
                prop_assert_eq!(again, coded);
            }
        }
    }
}
