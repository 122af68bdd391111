//! Secrets that do not print, and the redactor that keeps them out of every outgoing text.

use std::ops::Range;

/// A secret value. It has no way to be shown but [`Secret::reveal`], and no `Debug` of its content.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(value.into())
    }

    /// The secret itself, to be put into a request and nowhere else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Shorter values (bytes) are not looked for: they would blank out half of every text.
pub const REDACT_MIN: usize = 4;
/// As much in base64.
const CODED_MIN: usize = REDACT_MIN * 4 / 3;
/// What stands at the end of a quoted reply that goes on.
const CUT: &[u8] = b"...";
/// What stands in the place of a secret.
const MASK: &str = "***";

/// Blanks out known secrets, as they are and as they are written in URLs, JSON and base64.
#[derive(Clone, Default)]
pub struct Redactor {
    /// The secrets.
    plain: Vec<String>,
    /// Pieces of base64 that only a text with a secret in it has.
    base64: Vec<String>,
}

impl Redactor {
    /// Knows these secrets. Those shorter than [`REDACT_MIN`] are passed over.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Redactor {
        let mut plain: Vec<String> = secrets
            .into_iter()
            .map(|secret| secret.0.clone())
            .filter(|text| text.len() >= REDACT_MIN)
            .collect();
        plain.sort();
        plain.dedup();
        let mut base64: Vec<String> =
            plain.iter().flat_map(|secret| base64_pieces(secret.as_bytes())).collect();
        base64.sort();
        base64.dedup();
        Redactor { plain, base64 }
    }

    /// The text with every secret replaced by `***`, and with control characters (but newline and tab) made
    /// visible, so that no answer from outside plays with a terminal.
    pub fn redact(&self, text: &str) -> String {
        let mut masked = String::with_capacity(text.len());
        let mut from = 0;
        for hit in self.hits(text.as_bytes()) {
            masked.push_str(text.get(from..hit.start).unwrap_or_default());
            masked.push_str(MASK);
            from = hit.end;
        }
        masked.push_str(text.get(from..).unwrap_or_default());
        escape(&masked, true)
    }

    /// Where secrets are, in order and merged where they touch.
    fn hits(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut hits: Vec<Range<usize>> = Vec::new();
        for at in 0..text.len() {
            let rest = text.get(at..).unwrap_or_default();
            let spelt = |secret: &String| {
                let secret = secret.as_bytes();
                let ways = [(false, false), (true, false), (false, true), (true, true)];
                // A percent sign of the secret's own begins no code where the text is not coded.
                let coded = if secret.contains(&b'%') { &[true, false][..] } else { &[true][..] };
                let ways = coded.iter().flat_map(|coded| ways.map(|(json, cut)| (*coded, json, cut)));
                ways.filter_map(|(coded, json, cut)| matched(rest, secret, coded, json, cut)).max()
            };
            let plain = self.plain.iter().filter_map(spelt).max().map(|length| at..at + length);
            let coded = self.base64.iter().filter_map(|piece| matched_piece(rest, piece.as_bytes()));
            let coded = coded.max().map(|length| around(text, at..at + length));
            for hit in [plain, coded].into_iter().flatten() {
                match hits.last_mut() {
                    Some(last) if hit.start <= last.end => {
                        last.start = last.start.min(hit.start);
                        last.end = last.end.max(hit.end);
                    }
                    _ => hits.push(hit),
                }
            }
        }
        hits
    }
}

/// How many bytes of `text` spell the secret, each of its bytes plain, percent-coded or as `+` for a space; a percent
/// sign only coded in a `coded` text, and only plain else; in `json`, escaped as there. With `cut`, a beginning of the
/// secret counts too, where the text was cut off ([`CUT`]).
fn matched(text: &[u8], secret: &[u8], coded: bool, json: bool, cut: bool) -> Option<usize> {
    let mut used = 0;
    for (known, byte) in secret.iter().enumerate() {
        let rest = text.get(used..)?;
        if cut && known >= REDACT_MIN && rest.starts_with(CUT) {
            return Some(used);
        }
        used += match rest {
            [b'\\', b'u', a, b, c, d, ..] if json && hex(&[*a, *b, *c, *d]) == Some(u32::from(*byte)) => 6,
            [b'\\', short, ..] if json && json_escape(*short) == Some(*byte) => 2,
            [first, ..] if first == byte && !(coded && *byte == b'%') => 1,
            [b'%', high, low, ..] if hex(&[*high, *low]) == Some(u32::from(*byte)) => 3,
            [b'+', ..] if *byte == b' ' => 1,
            _ => return None,
        };
    }
    Some(used)
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
}

/// RFC 8259 7: what the letter behind a backslash stands for.
fn json_escape(letter: u8) -> Option<u8> {
    match letter {
        b'"' | b'\\' | b'/' => Some(letter),
        b'n' => Some(b'\n'),
        b't' => Some(b'\t'),
        b'r' => Some(b'\r'),
        _ => None,
    }
}

/// The characters of base64 (both alphabets of RFC 4648) that depend on the secret alone, for each of the
/// three ways in which it can lie in a longer text, such as `user:secret`.
fn base64_pieces(secret: &[u8]) -> Vec<String> {
    let mut pieces = Vec::new();
    for tail in [b"+/", b"-_"] {
        for shift in 0..3 {
            let mut bytes = vec![0; shift];
            bytes.extend_from_slice(secret);
            let whole = bytes.len() * 8 / 6;
            // The first characters mix in bits of what stands before.
            let mixed = (shift * 8).div_ceil(6);
            pieces.push(base64_digits(&bytes, *tail).take(whole).skip(mixed).collect());
        }
    }
    pieces
}

/// The base64 characters of some bytes, without padding. Own code, because only whole sextets are wanted.
fn base64_digits(bytes: &[u8], tail: [u8; 2]) -> impl Iterator<Item = char> + '_ {
    (0..(bytes.len() * 8).div_ceil(6)).map(move |index| {
        let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
        let value = (index * 6..index * 6 + 6).fold(0u8, |value, at| value << 1 | bit(at));
        char::from(match (value, tail) {
            (0..=25, _) => b'A' + value,
            (26..=51, _) => b'a' + (value - 26),
            (52..=61, _) => b'0' + (value - 52),
            (62, [plus, _]) => plus,
            (_, [_, slash]) => slash,
        })
    })
}

/// How many bytes of `text` are the piece, or a beginning of it where the text was cut off.
fn matched_piece(text: &[u8], piece: &[u8]) -> Option<usize> {
    let common = text.iter().zip(piece).take_while(|(a, b)| a == b).count();
    let cut = || common >= CODED_MIN && text.get(common..).is_some_and(|rest| rest.starts_with(CUT));
    (common == piece.len() || cut()).then_some(common)
}

/// A piece of base64 and the character on either side, which still holds some bits of the secret.
fn around(text: &[u8], piece: Range<usize>) -> Range<usize> {
    let digit = |at: usize| text.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || b"+/-_".contains(b));
    let start = piece.start.checked_sub(1).filter(|at| digit(*at)).unwrap_or(piece.start);
    let end = if digit(piece.end) { piece.end + 1 } else { piece.end };
    start..end
}

/// The text with every control character, newline too, made visible (`\n`, `\u{1b}`): safe for one line of a
/// log or a terminal. So are the characters that change the direction of writing or break lines.
pub fn printable(text: &str) -> String {
    escape(text, false)
}

fn escape(text: &str, keep_lines: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' if keep_lines => out.push(c),
            // Directional marks, embeddings, isolates; line and paragraph separator; byte order mark.
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {
                out.extend(c.escape_default());
            }
            _ if c.is_control() => out.extend(c.escape_default()),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64ct::{Base64, Base64Url, Base64UrlUnpadded, Encoding};
    use proptest::prelude::*;

    #[test]
    fn a_secret_that_a_quote_cuts_off_is_masked() {
        let redactor = redactor(&["hunter2secret", "dots...inside", "pass.word"]);
        assert_eq!(redactor.redact("said p=hunter2sec... next"), "said p=***... next");
        assert_eq!(redactor.redact("p=hunt..."), "p=***...");
        assert_eq!(redactor.redact("the hun..."), "the hun...", "too short to tell");
        assert_eq!(redactor.redact("p=hunter2secret..."), "p=***...");
        assert_eq!(redactor.redact("p=dots...inside"), "p=***");
        assert_eq!(redactor.redact("p=dots... p=pass..."), "p=***... p=***...");
    }

    fn redactor(secrets: &[&str]) -> Redactor {
        let secrets: Vec<Secret> = secrets.iter().map(|text| Secret::new(*text)).collect();
        Redactor::new(&secrets)
    }

    #[test]
    fn a_secret_with_a_percent_sign() {
        for secret in ["p%ss/w", "%25x%", "50%25off", "a%2fb/"] {
            let redactor = Redactor::new(&[Secret::new(secret)]);
            let mut coded = String::new();
            crate::provider::web::encode(secret, "", &mut coded);
            for text in [secret, &coded, &coded.to_ascii_lowercase()] {
                assert_eq!(redactor.redact(&format!("k={text}&")), "k=***&", "{secret} as {text}");
            }
        }
    }

    #[test]
    fn plain_percent_and_json() {
        let redactor = redactor(&["p ä/\"s+s", "tok-en", "back\\slash\\"]);
        for text in [
            "a p ä/\"s+s b",
            "a p%20%C3%A4%2F%22s%2Bs b",
            "a p+%c3%a4%2f%22s%2bs b",
            "a p%20ä/%22s+s b",
            "a p ä\\/\\\"s+s b",
            "a p ä/\\u0022s\\u002Bs b",
            "a back\\slash\\ b",
            "a back\\\\slash\\\\ b",
            "a back%5Cslash%5c b",
            "a tok-en b",
            "a tok%2Den b",
        ] {
            assert_eq!(redactor.redact(text), "a *** b", "{text}");
        }
        assert_eq!(redactor.redact("tok-e p ä/"), "tok-e p ä/");
    }

    #[test]
    fn overlapping_and_nested_secrets_leave_nothing() {
        let redactor = redactor(&["abcd", "cdefgh", "abcdef", "xyz"]);
        assert_eq!(redactor.redact("-abcdefgh-"), "-***-");
        assert_eq!(redactor.redact("abcdabcd"), "***");
        assert_eq!(redactor.redact("xyz is too short to be looked for"), "xyz is too short to be looked for");
        assert_eq!(Redactor::new([]).redact("all"), "all");
    }

    #[test]
    fn base64_that_a_quote_cuts_off_is_masked() {
        let redactor = Redactor::new(&[Secret::new("hunter2-hunter2")]);
        let whole = "Basic bWU6aHVudGVyMi1odW50ZXIy";
        for end in whole.len() - 14..whole.len() {
            let told = redactor.redact(&format!("{}...", &whole[..end]));
            assert_eq!(told, "Basic bWU***...", "cut at {end}");
        }
        assert_eq!(redactor.redact("aHVu..."), "aHVu...", "three letters of it say little");
    }

    #[test]
    fn base64_in_every_position_and_alphabet() {
        let secret = "s3cr?t~>>pass??word";
        let redactor = redactor(&[secret]);
        for user in ["", "u", "us", "use", "user:"] {
            for after in ["", "x", "xy", "xyz"] {
                let joined = format!("{user}{secret}{after}");
                let bytes = joined.as_bytes();
                for coded in [
                    Base64::encode_string(bytes),
                    Base64Url::encode_string(bytes),
                    Base64UrlUnpadded::encode_string(bytes),
                ] {
                    let shown = redactor.redact(&format!("Basic {coded} ."));
                    // What is left is the user's part, what follows the secret, and padding.
                    let left =
                        shown.replace("***", "").replace("Basic ", "").replace(" .", "").replace('=', "");
                    assert!(shown.contains("***"), "{shown}");
                    assert!(left.len() <= (user.len() + after.len()) * 8 / 6, "{joined}: {shown}");
                }
            }
        }
    }

    #[test]
    fn terminal_escapes_are_made_harmless() {
        assert_eq!(printable("a\u{1b}[31m\r\n\u{9b}\u{202e}é"), "a\\u{1b}[31m\\r\\n\\u{9b}\\u{202e}é");
        assert_eq!(redactor(&[]).redact("a\n\tb\u{7}"), "a\n\tb\\u{7}");
    }

    proptest! {
        #[test]
        fn no_secret_survives(before in ".{0,12}", secret in "[A-Z+/]{4,20}", after in ".{0,12}") {
            let shown = redactor(&[&secret]).redact(&format!("{before}{secret}{after}"));
            prop_assert!(!shown.contains(&secret), "{}", shown);
        }

        #[test]
        fn other_text_is_left_alone(text in "[a-z ]{0,40}") {
            prop_assert_eq!(redactor(&["QWERTY"]).redact(&text), text);
        }
    }
}
