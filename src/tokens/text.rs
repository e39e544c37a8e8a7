//! What a text is made of, and what that weighs.

use super::ascii::{BLOCK, Columns};

/// 64ths of a token, so that sums are exact.
pub(super) const TOKEN: u64 = 64;

/// How many traits of a request are told apart.
pub(super) const TRAITS: usize = 23;
/// How many of them are of texts; the others are of what stands around them.
pub(super) const OF_TEXTS: usize = 20;
/// Blocks of letters without a beginning: no word is as long, so they aren't made of words.
const SOLID: usize = 19;
/// The first of those of characters beyond ASCII.
pub(super) const WIDE: usize = 11;
/// Messages, items and tools: what stands around each.
pub(super) const MESSAGES: usize = 20;
/// Tools and schemas, in 64ths of a token: providers write them out in ways of their own.
pub(super) const TOOLS: usize = 21;
/// The answer's beginning: once.
pub(super) const PRIMING: usize = 22;

/// The weight of every trait while nothing is learnt, in 64ths of a token.
///
/// Those of texts were fitted to `o200k_base` and `cl100k_base` over prose, code, JSON, Chinese, Japanese and Korean, and
/// a tenth was added; those of other writings lie between the two, which differ threefold there.
pub(super) const WEIGHTS: [u16; TRAITS] = [
    3, 11, 44, // Small letters, capitals, beginnings of words.
    19, 1, 80, // Spaces: alone, after another one, at the beginning of a line.
    20, 46, // Digits, beginnings of numbers.
    15, 32, // Punctuation, beginnings of it.
    33, // Line breaks and tabs.
    64, 24, // Characters of two bytes: Latin, others.
    64, 42, 72, 64,  // Of three: E0 to E2 (Indic, symbols), kana, Chinese, Korean.
    28,  // Wide punctuation, which counts as kana too.
    192, // Of four: emoji.
    208, // Blocks of letters that aren't made of words: with these, 1 token for 4.
    // Four tokens, what it is, three tokens.
    256, 1, 192,
];

/// Lanes of eight bits each, so that a byte is counted with a few additions.
type Lanes = [u64; 3];

/// A byte by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Small,
    Capital,
    Space,
    Digit,
    Punctuation,
    Control,
    /// Not the first of its character.
    Rest,
    /// Not either, and behind E3 it says that this is punctuation.
    Rest80,
    Latin,
    Two,
    Symbol,
    Kana,
    Chinese,
    Three,
    Wide,
    Four,
}

const KINDS: usize = 16;

const ALL: [Kind; KINDS] = [
    Kind::Small,
    Kind::Capital,
    Kind::Space,
    Kind::Digit,
    Kind::Punctuation,
    Kind::Control,
    Kind::Rest,
    Kind::Rest80,
    Kind::Latin,
    Kind::Two,
    Kind::Symbol,
    Kind::Kana,
    Kind::Chinese,
    Kind::Three,
    Kind::Wide,
    Kind::Four,
];

/// The kind of every byte. A character of several bytes counts by its first one.
static KIND: [Kind; 256] = {
    let mut kinds = [Kind::Control; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'a'..=b'z' => Kind::Small,
            b'A'..=b'Z' => Kind::Capital,
            b' ' => Kind::Space,
            b'0'..=b'9' => Kind::Digit,
            0x00..=0x1f | 0x7f => Kind::Control,
            0x21..=0x7e => Kind::Punctuation,
            0x80 => Kind::Rest80,
            0x81..=0xbf => Kind::Rest,
            0xc0..=0xcb => Kind::Latin,
            0xcc..=0xdf => Kind::Two,
            0xe0..=0xe2 => Kind::Symbol,
            0xe3 => Kind::Kana,
            0xe4..=0xe9 => Kind::Chinese,
            0xea..=0xee => Kind::Three,
            0xef => Kind::Wide,
            0xf0..=0xff => Kind::Four,
        };
        byte += 1;
    }
    kinds
};

/// What a byte of the second kind counts as behind one of the first.
static PAIRS: [[Lanes; KINDS]; KINDS] = {
    let mut pairs = [[[0; 3]; KINDS]; KINDS];
    let mut before = 0;
    while before < KINDS {
        let mut kind = 0;
        while kind < KINDS {
            pairs[before][kind] = lanes(ALL[before], ALL[kind]);
            kind += 1;
        }
        before += 1;
    }
    pairs
};

const fn lanes(before: Kind, kind: Kind) -> Lanes {
    use Kind::*;
    let in_word = matches!(before, Small | Capital | Rest | Rest80);
    let (trait_, also) = match kind {
        // A hump begins a word too.
        Small => (0, if in_word { None } else { Some(2) }),
        Capital if matches!(before, Capital) => (1, None),
        Capital => (1, Some(2)),
        Space if matches!(before, Space) => (4, None),
        Space if matches!(before, Control) => (5, None),
        Space => (3, None),
        Digit if matches!(before, Digit) => (6, None),
        Digit => (6, Some(7)),
        Punctuation if matches!(before, Punctuation) => (8, None),
        Punctuation => (8, Some(9)),
        Control => (10, None),
        Rest80 if matches!(before, Kana) => (17, None),
        Rest | Rest80 => return [0; 3],
        Latin => (11, if in_word { None } else { Some(2) }),
        Two => (12, if in_word { None } else { Some(2) }),
        Symbol => (13, None),
        Kana => (14, None),
        Chinese => (15, None),
        Three => (16, None),
        Wide => (14, Some(17)),
        Four => (18, None),
    };
    let mut lanes = [0; 3];
    lanes[trait_ / 8] += 1 << (trait_ % 8 * 8);
    if let Some(also) = also {
        let also: usize = also;
        lanes[also / 8] += 1 << (also % 8 * 8);
    }
    lanes
}

/// The whole block behind a byte, and the one that begins with that byte: if all of it is ASCII.
#[inline]
fn pair(text: &[u8], before: usize) -> Option<(&[u8; BLOCK], &[u8; BLOCK])> {
    let (_, block) = text.get(before..)?.split_first()?;
    let (block, before) = (block.first_chunk()?, text[before..].first_chunk()?);
    let all = block.iter().fold(before[0], |all, byte| all | byte);
    all.is_ascii().then_some((block, before))
}

/// Counts byte by byte, since it was last [taken](Self::take).
#[derive(Default)]
struct Others {
    sum: Lanes,
    blocks: u8,
}

impl Others {
    /// Whether the lanes can count no more.
    const fn is_full(&self) -> bool {
        self.blocks == 15
    }

    /// Counts a block; says whether it is of letters without a beginning.
    #[inline]
    fn count(&mut self, block: &[u8], mut before: Kind) -> bool {
        self.blocks += 1;
        let mut part: Lanes = [0; 3];
        for byte in block {
            let kind = KIND[usize::from(*byte)];
            let lanes = &PAIRS[before as usize][kind as usize];
            part = [part[0] + lanes[0], part[1] + lanes[1], part[2] + lanes[2]];
            before = kind;
        }
        for (sum, part) in self.sum.iter_mut().zip(part) {
            *sum += part;
        }
        let [small, capitals, words, ..] = part[0].to_le_bytes();
        usize::from(small + capitals) == BLOCK && words <= 1
    }

    fn take(&mut self) -> [u32; SOLID] {
        let Self { sum, .. } = std::mem::take(self);
        let bytes = sum.map(u64::to_le_bytes);
        std::array::from_fn(|trait_| u32::from(bytes[trait_ / 8][trait_ % 8]))
    }
}

/// How often each trait was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traits(pub(super) [u32; TRAITS]);

impl Traits {
    /// Adds a text's.
    pub(super) fn text(&mut self, text: &[u8]) {
        let (mut ascii, mut others) = (Columns::default(), Others::default());
        for start in (0..text.len()).step_by(BLOCK) {
            let end = text.len().min(start + BLOCK);
            let before = start.checked_sub(1);
            let solid = match before.and_then(|before| pair(text, before)) {
                Some((block, before)) => {
                    if ascii.is_full() {
                        self.sum(&ascii.take());
                    }
                    ascii.count(block, before)
                }
                None => {
                    if others.is_full() {
                        self.sum(&others.take());
                    }
                    let before = before.map_or(Kind::Control, |at| KIND[usize::from(text[at])]);
                    others.count(&text[start..end], before)
                }
            };
            self.0[SOLID] = self.0[SOLID].saturating_add(u32::from(solid));
        }
        self.sum(&ascii.take());
        self.sum(&others.take());
    }

    fn sum(&mut self, found: &[u32]) {
        for (count, more) in self.0.iter_mut().zip(found) {
            *count = count.saturating_add(*more);
        }
    }

    pub(super) fn add(&mut self, trait_: usize, n: u64) {
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        self.0[trait_] = self.0[trait_].saturating_add(n);
    }

    /// By the weights of the beginning, in 64ths of a token.
    pub(super) fn weight(&self) -> u64 {
        let weighed = |(count, weight): (&u32, &u16)| u64::from(*count) * u64::from(*weight);
        self.0.iter().zip(&WEIGHTS).map(weighed).sum()
    }
}

#[cfg(test)]
mod tests;
