//! What frp's token is for: the proof of it (MD5, RFC 1321), and the key (PBKDF2, RFC 8018 section 5.2) by which a control
//! connection is enciphered (AES-128, FIPS 197, as CFB-128, SP 800-38A section 6.3). From the sources of frp
//! (`pkg/util/util.go`) and golib (`crypto/`).
//!
//! Neither MD5 nor CFB without a MAC keeps anybody out today: what does is TLS around it.

use super::canonical::hex;
use ring::pbkdf2;
use std::num::NonZeroU32;

/// The bytes of a block and of a key.
pub const BLOCK: usize = 16;
const SALT: &[u8] = b"frp";
const ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(63);

/// The proof of a token at a Unix time in seconds.
pub fn privilege_key(token: &str, now: u64) -> String {
    hex(&md5(&[token, &now.to_string()].concat()))
}

/// The key of control connections.
pub fn key(token: &str) -> [u8; BLOCK] {
    let mut key = [0; BLOCK];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, ROUNDS, SALT, token.as_bytes(), &mut key);
    key
}

/// One direction of an enciphered connection.
pub struct Cfb {
    key: [u8; BLOCK],
    /// What is left of the enciphered last block, behind what it has enciphered already.
    block: [u8; BLOCK],
    used: usize,
}

impl Cfb {
    /// The direction that begins with this block, which was sent in clear.
    pub fn new(key: &[u8; BLOCK], first: [u8; BLOCK]) -> Cfb {
        Cfb { key: *key, block: first, used: BLOCK }
    }

    /// Enciphers bytes in place.
    pub fn seal(&mut self, bytes: &mut [u8]) {
        self.run(bytes, true);
    }

    /// Deciphers bytes in place.
    pub fn open(&mut self, bytes: &mut [u8]) {
        self.run(bytes, false);
    }

    fn run(&mut self, bytes: &mut [u8], seal: bool) {
        for byte in bytes {
            if self.used == BLOCK {
                self.block = encipher(&self.key, &self.block);
                self.used = 0;
            }
            let Some(pad) = self.block.get_mut(self.used) else { return };
            let (from, to) = (*byte, *byte ^ *pad);
            *byte = to;
            *pad = if seal { to } else { from };
            self.used += 1;
        }
    }
}

/// AES's table of substitutes (FIPS 197, figure 7).
const SUBSTITUTES: [u8; 256] = [
    0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76, 0xca,
    0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0, 0xb7, 0xfd,
    0x93, 0x26, 0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15, 0x04, 0xc7, 0x23,
    0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2, 0xeb, 0x27, 0xb2, 0x75, 0x09, 0x83, 0x2c, 0x1a,
    0x1b, 0x6e, 0x5a, 0xa0, 0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84, 0x53, 0xd1, 0x00, 0xed, 0x20,
    0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf, 0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d,
    0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f, 0x50, 0x3c, 0x9f, 0xa8, 0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38,
    0xf5, 0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2, 0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17,
    0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73, 0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46,
    0xee, 0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb, 0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3,
    0xac, 0x62, 0x91, 0x95, 0xe4, 0x79, 0xe7, 0xc8, 0x37, 0x6d, 0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4,
    0xea, 0x65, 0x7a, 0xae, 0x08, 0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f,
    0x4b, 0xbd, 0x8b, 0x8a, 0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e, 0x61, 0x35, 0x57, 0xb9, 0x86,
    0xc1, 0x1d, 0x9e, 0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55,
    0x28, 0xdf, 0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f, 0xb0, 0x54, 0xbb,
    0x16,
];

/// One block through AES-128. The keys of the rounds are made on the way: a control connection has two blocks in half a
/// minute.
fn encipher(key: &[u8; BLOCK], block: &[u8; BLOCK]) -> [u8; BLOCK] {
    let (mut key, mut state) = (words(key), words(block));
    let mut constant = 1;
    state = add(state, key);
    for round in 1..=10 {
        key = next_key(key, constant);
        constant = double(constant);
        let [a, b, c, d] = state;
        let columns = [[a, b, c, d], [b, c, d, a], [c, d, a, b], [d, a, b, c]].map(substitute);
        state = add(if round < 10 { columns.map(mix) } else { columns }, key);
    }
    let mut out = [0; BLOCK];
    for (place, byte) in out.iter_mut().zip(state.into_iter().flat_map(u32::to_be_bytes)) {
        *place = byte;
    }
    out
}

fn words(bytes: &[u8; BLOCK]) -> [u32; 4] {
    let all = u128::from_be_bytes(*bytes);
    [(all >> 96) as u32, (all >> 64) as u32, (all >> 32) as u32, all as u32]
}

fn add([a, b, c, d]: [u32; 4], [e, f, g, h]: [u32; 4]) -> [u32; 4] {
    [a ^ e, b ^ f, c ^ g, d ^ h]
}

/// Section 5.2: the key of the next round.
fn next_key([a, b, c, d]: [u32; 4], constant: u32) -> [u32; 4] {
    let turned = d.rotate_left(8);
    let a = a ^ substitute([turned; 4]) ^ (constant << 24);
    let b = b ^ a;
    let c = c ^ b;
    [a, b, c, d ^ c]
}

/// Sections 5.1.1 and 5.1.2: a column, each of its bytes from another one.
fn substitute([a, b, c, d]: [u32; 4]) -> u32 {
    let table = |byte: u8| SUBSTITUTES.get(usize::from(byte)).copied().unwrap_or_default();
    let ([first, ..], [_, second, ..]) = (a.to_be_bytes(), b.to_be_bytes());
    let ([_, _, third, _], [.., fourth]) = (c.to_be_bytes(), d.to_be_bytes());
    u32::from_be_bytes([first, second, third, fourth].map(table))
}

/// Section 5.1.3: a column mixed.
fn mix(column: u32) -> u32 {
    let doubled = double(column);
    doubled ^ (doubled ^ column).rotate_left(8) ^ column.rotate_left(16) ^ column.rotate_left(24)
}

/// Section 4.2.1: each byte doubled.
fn double(bytes: u32) -> u32 {
    ((bytes & 0x7f7f_7f7f) << 1) ^ (((bytes >> 7) & 0x0101_0101) * 0x1b)
}

/// How far each round turns, by its place in four (RFC 1321 section 3.4).
const TURNS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
/// What each round adds: the sines of its number (section 3.4).
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

/// The digest of a text (RFC 1321).
fn md5(text: &str) -> [u8; 16] {
    let mut padded = text.as_bytes().to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend((text.len() as u64 * 8).to_le_bytes());
    let mut sum = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in padded.chunks_exact(64) {
        sum = md5_block(sum, block);
    }
    let mut out = [0; 16];
    for (place, byte) in out.iter_mut().zip(sum.into_iter().flat_map(u32::to_le_bytes)) {
        *place = byte;
    }
    out
}

fn md5_block(sum: [u32; 4], block: &[u8]) -> [u32; 4] {
    let word = |at: usize| {
        let bytes = block.get(at * 4..).and_then(|rest| rest.first_chunk());
        bytes.copied().map_or(0, u32::from_le_bytes)
    };
    let [mut a, mut b, mut c, mut d] = sum;
    for ((at, sine), turns) in
        SINES.iter().enumerate().zip(TURNS.iter().flat_map(|turns| [turns; 4]).flatten())
    {
        let (mixed, place) = match at / 16 {
            0 => ((b & c) | (!b & d), at),
            1 => ((d & b) | (!d & c), 5 * at + 1),
            2 => (b ^ c ^ d, 3 * at + 5),
            _ => (c ^ (b | !d), 7 * at),
        };
        let turned =
            a.wrapping_add(mixed).wrapping_add(*sine).wrapping_add(word(place % 16)).rotate_left(*turns);
        (a, d, c, b) = (d, c, b, b.wrapping_add(turned));
    }
    let [e, f, g, h] = sum;
    [e.wrapping_add(a), f.wrapping_add(b), g.wrapping_add(c), h.wrapping_add(d)]
}

#[cfg(test)]
mod tests;
