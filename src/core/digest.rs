//! What stands for a key where others can read it: SHA-256 (FIPS 180-4), so that nobody gets the key from it.

use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};

/// What a key writes into its hash, in the same order of bytes everywhere.
#[derive(Default)]
struct Written(Vec<u8>);

macro_rules! little_endian {
    ($($name:ident: $int:ty as $wide:ty),*) => {
        $(fn $name(&mut self, n: $int) {
            self.0.extend((n as $wide).to_le_bytes());
        })*
    };
}

impl Hasher for Written {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    little_endian! {
        write_u16: u16 as u16, write_u32: u32 as u32, write_u64: u64 as u64, write_u128: u128 as u128,
        write_usize: usize as u64, write_i16: i16 as i16, write_i32: i32 as i32, write_i64: i64 as i64,
        write_i128: i128 as i128, write_isize: isize as i64
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// The first half of a key's digest, in hexadecimal digits: the same in every process.
pub(crate) fn digest(key: &(impl Hash + ?Sized)) -> String {
    let mut written = Written::default();
    key.hash(&mut written);
    Sha256::digest(&written.0)[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standard() {
        // What "abc" writes into its hash: its bytes, and that they are all.
        let mut written = Written::default();
        "abc".hash(&mut written);
        assert_eq!(written.0, b"abc\xff");
        let all = Sha256::digest(b"abc");
        let hex: String = all.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_key_has_one_digest_and_is_not_in_it() {
        assert_eq!(digest("sk-secret"), digest(&String::from("sk-secret")));
        assert_ne!(digest("sk-secret"), digest("sk-secret2"));
        assert!(!digest("sk-secret").contains("sk"));
        assert_eq!(digest(&7u32).len(), 32);
    }
}
