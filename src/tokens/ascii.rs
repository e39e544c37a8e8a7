//! Sixteen bytes of ASCII at once.

/// Bytes that are looked at together.
pub(super) const BLOCK: usize = 16;

/// What is counted of each byte: in the order of the traits, but that spaces are all spaces, and control characters are what
/// is left.
const COUNTED: usize = 10;
/// As many blocks as a lane can count.
const MOST: u8 = u8::MAX;

type Bytes = [u8; BLOCK];

/// How often each trait was found since it was last [taken](Self::take), in the first, the second byte of all blocks and so on: so
/// that a processor that does sixteen at once can.
#[derive(Default)]
pub(super) struct Columns {
    counts: [Bytes; COUNTED],
    blocks: u8,
}

/// The eleven traits of ASCII.
pub(super) type Found = [u32; 11];

impl Columns {
    /// Whether nothing more can be counted before it is taken.
    pub(super) const fn is_full(&self) -> bool {
        self.blocks == MOST
    }

    /// Counts a block, of which each byte stands behind that of `before`; says whether it is of letters without a beginning.
    #[inline]
    pub(super) fn count(&mut self, block: &Bytes, before: &Bytes) -> bool {
        self.blocks += 1;
        let (mut letters, mut words) = (0, 0);
        for n in 0..BLOCK {
            let (byte, last) = (Byte(block[n]), Byte(before[n]));
            let word = byte.small() & !last.letter() | byte.capital() & !last.capital();
            let found = [
                byte.small(),
                byte.capital(),
                word,
                byte.space(),
                byte.space() & last.space(),
                byte.space() & last.control(),
                byte.digit(),
                byte.digit() & !last.digit(),
                byte.punctuation(),
                byte.punctuation() & !last.punctuation(),
            ];
            for (count, found) in self.counts.iter_mut().zip(found) {
                count[n] += u8::from(found);
            }
            letters += u8::from(byte.letter());
            words += u8::from(word);
        }
        usize::from(letters) == BLOCK && words <= 1
    }

    /// What was counted, and begins anew.
    pub(super) fn take(&mut self) -> Found {
        let Self { counts, blocks } = std::mem::take(self);
        let sums = counts.map(|bytes| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>());
        let [
            small,
            capital,
            word,
            space,
            spaces,
            indents,
            digit,
            number,
            mark,
            marks,
        ] = sums;
        let all = u32::from(blocks) * BLOCK as u32;
        let alone = space - spaces - indents;
        let control = all - small - capital - space - digit - mark;
        [
            small, capital, word, alone, spaces, indents, digit, number, mark, marks, control,
        ]
    }
}

/// What a byte of ASCII is.
#[derive(Clone, Copy)]
struct Byte(u8);

impl Byte {
    const fn among(self, first: u8, last: u8) -> bool {
        self.0.wrapping_sub(first) <= last - first
    }

    const fn small(self) -> bool {
        self.among(b'a', b'z')
    }

    const fn capital(self) -> bool {
        self.among(b'A', b'Z')
    }

    const fn letter(self) -> bool {
        Self(self.0 | 0x20).among(b'a', b'z')
    }

    const fn space(self) -> bool {
        self.0 == b' '
    }

    const fn digit(self) -> bool {
        self.among(b'0', b'9')
    }

    const fn control(self) -> bool {
        self.0 < 0x20 || self.0 == 0x7f
    }

    const fn punctuation(self) -> bool {
        self.among(0x21, 0x7e) & !self.letter() & !self.digit()
    }
}
