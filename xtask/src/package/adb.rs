//! The binary container of apk-tools 3 (`doc/apk-v3.5.scd` there): a database of values that refer to each other
//! by offset, and behind it blocks of file contents. Little endian throughout. Values are laid out in the order
//! in which they are written, and equal ones are stored once, as `apk mkpkg` does.
//!
//! ```text
//! "ADB."  schema                      the header; compressed: "ADBd", then all of it as one raw deflate stream
//! block of kind 0                     the database: eight bytes (versions 0, the root's tag), then the values
//! block of kind 2, ...                the data: two numbers that say which file it is, then its contents
//! ```
//! A block is a 32-bit word (two bits of kind, thirty of length with the word itself), its bytes, and zeroes up to
//! the next multiple of eight.

use anyhow::{ensure, Result};
use std::collections::HashMap;

/// What a file begins with that is not compressed.
pub const PLAIN: &[u8; 4] = b"ADB.";
/// What a file begins with whose rest is a raw deflate stream of the plain file.
pub const DEFLATED: &[u8; 4] = b"ADBd";
/// The schema of a package.
pub const PACKAGE: &[u8; 4] = b"pckg";

/// The largest offset, and the first number that does not fit into a tag.
const IMMEDIATE: u64 = 1 << 28;
/// The longest block with a header of one word.
const LONGEST: usize = 0x3fff_ffff;
/// What a block is padded to.
const ALIGNMENT: usize = 8;
/// The bytes in front of the values.
const HEADER: usize = 8;

const INT: u32 = 0x1000_0000;
const INT_32: u32 = 0x2000_0000;
const INT_64: u32 = 0x3000_0000;
const BLOB_8: u32 = 0x8000_0000;
const BLOB_16: u32 = 0x9000_0000;
const BLOB_32: u32 = 0xa000_0000;
const OBJECT: u32 = 0xe000_0000;

/// A block of the database.
const DATABASE: u32 = 0;
/// A block of one file's contents.
const DATA: u32 = 2;

/// The tag of a value: four bits of type, and 28 of the value itself or of the offset where it lies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Value(u32);

/// Nothing: an absent field, an empty string, an empty array.
pub const NULL: Value = Value(0);

/// A database that is being written.
pub struct Adb {
    bytes: Vec<u8>,
    /// Where each run of bytes lies that may be used again.
    seen: HashMap<Vec<u8>, usize>,
}

impl Adb {
    /// An empty one.
    pub fn new() -> Adb {
        Adb { bytes: vec![0; HEADER], seen: HashMap::new() }
    }

    /// A number.
    pub fn int(&mut self, number: u64) -> Value {
        match (u32::try_from(number), number < IMMEDIATE) {
            (Ok(small), true) => Value(INT | small),
            (Ok(medium), false) => self.store(INT_32, medium.to_le_bytes().to_vec(), 4),
            (Err(_), _) => self.store(INT_64, number.to_le_bytes().to_vec(), 4),
        }
    }

    /// A string, or bytes; empty ones are absent.
    pub fn blob(&mut self, bytes: &[u8]) -> Value {
        let (kind, mut run) = match bytes.len() {
            0 => return NULL,
            1..=0xff => (BLOB_8, vec![bytes.len() as u8]),
            0x100..=0xffff => (BLOB_16, (bytes.len() as u16).to_le_bytes().to_vec()),
            _ => (BLOB_32, (bytes.len() as u32).to_le_bytes().to_vec()),
        };
        let alignment = run.len();
        run.extend_from_slice(bytes);
        self.store(kind, run, alignment)
    }

    /// At most 255 bytes in a place of their own, and where they begin: they are filled in later.
    pub fn own_place(&mut self, bytes: &[u8]) -> (Value, usize) {
        let at = self.bytes.len();
        self.bytes.push(bytes.len() as u8);
        self.bytes.extend_from_slice(bytes);
        (Value(BLOB_8 | at as u32), at + 1)
    }

    /// An object by its fields from the first on, or an array by its items; absent ones at the end are left out.
    pub fn object(&mut self, fields: &[Value]) -> Value {
        let used = fields.iter().rposition(|field| *field != NULL).map_or(0, |last| last + 1);
        if used == 0 {
            return NULL;
        }
        let mut run = (used as u32 + 1).to_le_bytes().to_vec();
        for field in fields.iter().take(used) {
            run.extend_from_slice(&field.0.to_le_bytes());
        }
        self.store(OBJECT, run, 4)
    }

    /// Names the root, and returns the bytes of the database.
    ///
    /// # Errors
    /// When it is larger than offsets can say.
    pub fn finish(mut self, root: Value) -> Result<Vec<u8>> {
        ensure!((self.bytes.len() as u64) < IMMEDIATE, "the package's description is too long for an apk");
        self.bytes[HEADER - 4..HEADER].copy_from_slice(&root.0.to_le_bytes());
        Ok(self.bytes)
    }

    fn store(&mut self, kind: u32, run: Vec<u8>, alignment: usize) -> Value {
        if let Some(at) = self.seen.get(&run).filter(|at| *at % alignment == 0) {
            return Value(kind | *at as u32);
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(alignment), 0);
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&run);
        self.seen.insert(run, at);
        Value(kind | at as u32)
    }
}

/// The plain container of a database. What is appended to it are [`data`] blocks.
///
/// # Errors
/// When the database is too long for its block.
pub fn container(schema: &[u8; 4], database: &[u8]) -> Result<Vec<u8>> {
    let mut out = [PLAIN.as_slice(), schema].concat();
    block(&mut out, DATABASE, &[database])?;
    Ok(out)
}

/// Appends the contents of one file: the one with this number in the directory with that number, from one on.
///
/// # Errors
/// When the file is too long for a block.
pub fn data(out: &mut Vec<u8>, directory: usize, file: usize, contents: &[u8]) -> Result<()> {
    block(out, DATA, &[&(directory as u32).to_le_bytes(), &(file as u32).to_le_bytes(), contents])
}

fn block(out: &mut Vec<u8>, kind: u32, parts: &[&[u8]]) -> Result<()> {
    let length = 4 + parts.iter().map(|part| part.len()).sum::<usize>();
    ensure!(length <= LONGEST, "{length} bytes are too many for a block of an apk");
    let start = out.len();
    out.extend_from_slice(&(kind << 30 | length as u32).to_le_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.resize(start + length.next_multiple_of(ALIGNMENT), 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_by_their_size() {
        let mut adb = Adb::new();
        assert_eq!(adb.int(5).0, INT | 5);
        assert_eq!(adb.int(IMMEDIATE - 1).0, INT | 0x0fff_ffff);
        assert_eq!(adb.int(IMMEDIATE).0, INT_32 | 8);
        assert_eq!(adb.int(1 << 32).0, INT_64 | 12);
        assert_eq!(adb.bytes[8..], [0, 0, 0, 0x10, 0, 0, 0, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn blobs_are_aligned_by_their_length_and_stored_once() {
        let mut adb = Adb::new();
        assert_eq!(adb.blob(b"").0, 0);
        let short = adb.blob(b"ab");
        assert_eq!(short.0, BLOB_8 | 8);
        assert_eq!(adb.blob(&[1; 256]).0, BLOB_16 | 12);
        assert_eq!(adb.blob(&[2; 65536]).0, BLOB_32 | (12 + 2 + 256 + 2));
        assert_eq!(adb.blob(b"ab").0, short.0);
        let (own, at) = adb.own_place(b"ab");
        assert_ne!(own.0, short.0);
        assert_eq!(adb.bytes[at..], *b"ab");
    }

    #[test]
    fn an_object_drops_what_is_absent_at_its_end() {
        let mut adb = Adb::new();
        assert_eq!(adb.object(&[NULL, NULL]).0, 0);
        let one = adb.int(1);
        assert_eq!(adb.object(&[NULL, one, NULL]).0, OBJECT | 8);
        assert_eq!(adb.bytes[8..], [3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0x10]);
        let bytes = adb.finish(one).unwrap();
        assert_eq!(bytes[..8], [0, 0, 0, 0, 1, 0, 0, 0x10]);
    }

    #[test]
    fn a_run_in_the_wrong_place_is_written_again() {
        let mut adb = Adb::new();
        adb.blob(b"x");
        // The blob of four bytes reads as the object's own: a count of two and one field.
        adb.blob(&[0, 0, 0, 1, 0, 0, 0x10]);
        let one = adb.int(1);
        assert_eq!(adb.object(&[one]).0 % 4, 0);
    }

    #[test]
    fn blocks_are_padded_and_counted_with_their_header() {
        let mut out = container(PACKAGE, &[9; 8]).unwrap();
        assert_eq!(out[..12], *b"ADB.pckg\x0c\0\0\0");
        assert_eq!(out.len(), 8 + 16);
        data(&mut out, 1, 2, b"abc").unwrap();
        assert_eq!(out[24..], *b"\x0f\0\0\x80\x01\0\0\0\x02\0\0\0abc\0");
    }
}
