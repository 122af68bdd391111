//! Domain names in Unicode as DNS has them: A-labels (RFC 5890, punycode of RFC 3492). What tables of tens of kilobytes
//! would be needed for is not done but refused, with the way out: the name written as `xn--...`.

/// RFC 3492 section 5.
const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const FIRST_BIAS: u32 = 72;
const FIRST_CODE: u32 = 128;
/// The longest A-label (RFC 1035 section 2.3.4).
const A_LABEL_CAP: usize = 63;
/// The most characters of a label that is encoded: none of more fits into an A-label.
const LABEL_CAP: usize = 59;

/// What is taken beyond ASCII: letters, digits and marks in small letters, of the scripts of which names are registered.
/// Each by itself is its own canonical form (NFC, UTS 46), so that it needs no mapping; of what several together would
/// become, see [`joins`] and [`order`]. Some within are not assigned.
#[rustfmt::skip]
static LETTERS: &[(u32, u32)] = &[
    (0xdf, 0xf6), (0xf8, 0x12f), (0x131, 0x131), (0x134, 0x13e), (0x141, 0x148), (0x14a, 0x17e), // Latin
    (0x1a1, 0x1a1), (0x1b0, 0x1b0), (0x1cd, 0x1ef), (0x1f8, 0x21f), (0x222, 0x233), (0x250, 0x2af),
    (0x1e01, 0x1e99), (0x1ea0, 0x1eff),
    (0x390, 0x390), (0x3ac, 0x3ce), // Greek
    (0x430, 0x481), (0x48a, 0x52f), // Cyrillic
    (0x561, 0x586), // Armenian
    (0x5d0, 0x5ea), // Hebrew
    (0x620, 0x63f), (0x641, 0x652), (0x660, 0x669), (0x671, 0x674), (0x679, 0x6d3), (0x6f0, 0x6fc), // Arabic
    (0x780, 0x7b1), // Thaana
    (0x900, 0x957), (0x960, 0x9db), (0x9e0, 0xa32), (0xa34, 0xa35), (0xa37, 0xa58), (0xa5f, 0xb5b), // of India
    (0xb5f, 0xdff),
    (0xe01, 0xe32), (0xe34, 0xe3a), (0xe40, 0xe4e), (0xe50, 0xe59), // Thai
    (0xe81, 0xeb2), (0xeb4, 0xedb), // Lao
    (0x1000, 0x109f), (0x10d0, 0x10fa), (0x1200, 0x137f), (0x1780, 0x17b3), (0x17b6, 0x17e9),
    (0x3005, 0x3007), (0x3041, 0x3096), (0x309d, 0x309e), (0x30a1, 0x30fa), (0x30fc, 0x30fe), (0x3105, 0x312f),
    (0x3400, 0x4dbf), (0x4e00, 0x9fff), (0x20000, 0x2f7ff), (0x30000, 0x323af), // Han
    (0xac00, 0xd7a3), // Hangul
];

/// The name with each label that is not ASCII as an A-label. Ideographic full stops become dots. ASCII stays as it is.
///
/// # Errors
/// Which character or label cannot be taken.
pub fn to_ascii(name: &str) -> Result<String, String> {
    let mut out = String::with_capacity(name.len());
    for (index, label) in name.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']).enumerate() {
        if index > 0 {
            out.push('.');
        }
        if label.is_ascii() {
            out.push_str(label);
            continue;
        }
        let start = out.len();
        let label: Vec<u32> = label.chars().map(|c| lower(u32::from(c))).collect();
        check(&label)?;
        out.push_str("xn--");
        encode(&label, &mut out);
        if out.len() - start > A_LABEL_CAP {
            return Err(too_long(out.len() - start));
        }
    }
    Ok(out)
}

/// Only what is surely meant so.
fn check(label: &[u32]) -> Result<(), String> {
    let within = |code: u32| LETTERS.iter().any(|(first, last)| (*first..=*last).contains(&code));
    let mends = "write the name as xn--...";
    if let Some(odd) = label.iter().find(|code| **code >= FIRST_CODE && !within(**code)) {
        return Err(match odd {
            0x300..=0x36f => format!("has a mark that stands for itself (U+{odd:04X}), not one letter with it; type the letter, or {mends}"),
            _ => format!("has U+{odd:04X}, which is not taken in names here; {mends}"),
        });
    }
    if label.len() > LABEL_CAP {
        return Err(too_long(label.len()));
    }
    check_marks(label)?;
    let to_left = |code: &u32| (0x590..0x900).contains(code);
    let arabic = |code: &u32| (0x660..0x66a).contains(code);
    let digit = |code: &u32| (0x30..0x3a).contains(code) || (0x6f0..0x6fa).contains(code);
    let neutral = |code: &u32| *code == u32::from('-') || digit(code);
    // RFC 5893 section 2: rules 1, 2 and 4.
    let mixed = label.iter().any(to_left)
        && (!label.iter().all(|code| to_left(code) || neutral(code))
            || label.first().is_some_and(|code| neutral(code) || arabic(code))
            || label.iter().any(arabic) && label.iter().any(digit));
    if mixed {
        return Err(format!("mixes signs that are written from the left and from the right; {mends}"));
    }
    Ok(())
}

/// What is no label (RFC 5891 section 4.2.3), and signs that would become others, or come in another order, in NFC.
fn check_marks(label: &[u32]) -> Result<(), String> {
    const HYPHEN: u32 = b'-' as u32;
    let mends = "write the name as xn--...";
    if label.get(2..4) == Some(&[HYPHEN; 2])
        || label.first() == Some(&HYPHEN)
        || label.last() == Some(&HYPHEN)
    {
        return Err(
            "has a part with hyphens at its begin or end, or as its third and fourth character; take them out".into()
        );
    }
    if let Some(odd) = label.first().filter(|code| is_mark(**code)) {
        return Err(format!(
            "has a part that begins with a mark (U+{odd:04X}), which belongs behind a letter; {mends}"
        ));
    }
    // The last sign that a mark can join, and the order of the one before.
    let (mut base, mut before) = (0, 0);
    for code in label.iter().copied() {
        let own = order(code);
        if own > 0 && own < before || joins(base, code) {
            return Err(format!(
                "has U+{code:04X} where it becomes another sign or another order of signs; {mends}"
            ));
        }
        before = own;
        if own == 0 {
            base = code;
        }
    }
    Ok(())
}

/// True if two of [`LETTERS`] are one in NFC.
fn joins(base: u32, next: u32) -> bool {
    match next {
        0x93c => matches!(base, 0x928 | 0x930 | 0x933),
        0x9be | 0x9d7 => base == 0x9c7,
        0xb3e | 0xb56 | 0xb57 => base == 0xb47,
        0xbd7 => matches!(base, 0xb92 | 0xbc6),
        0xbbe => matches!(base, 0xbc6 | 0xbc7),
        0xc56 => base == 0xc46,
        0xcd5 => matches!(base, 0xcbf | 0xcc6 | 0xcca),
        0xcc2 | 0xcd6 => base == 0xcc6,
        0xd3e => matches!(base, 0xd46 | 0xd47),
        0xd57 => base == 0xd46,
        0xdca => matches!(base, 0xdd9 | 0xddc),
        0xdcf | 0xddf => base == 0xdd9,
        0x102e => base == 0x1025,
        _ => false,
    }
}

/// Where a mark comes among those of one letter (canonical combining class); 0: where it is written.
fn order(code: u32) -> u32 {
    match code {
        0x64b..=0x652 => code - 0x64b + 27, // Arabic
        0x93c | 0x9bc | 0xa3c | 0xabc | 0xb3c | 0xc3c | 0xcbc | 0x1037 => 7,
        0x94d | 0x9cd | 0xa4d | 0xacd | 0xb4d | 0xbcd | 0xc4d | 0xccd | 0xd3b | 0xd3c | 0xd4d | 0xdca => 9,
        0xe3a | 0xeba | 0x1039 | 0x103a | 0x17d2 => 9,
        0xc55 => 84,
        0xc56 => 91,
        0xe38 | 0xe39 => 103,
        0xe48..=0xe4b => 107,
        0xeb8 | 0xeb9 => 118,
        0xec8..=0xecb => 122,
        0x952 | 0x108d => 220,
        0x951 | 0x953 | 0x954 | 0x9fe | 0x135d..=0x135f | 0x17dd => 230,
        _ => 0,
    }
}

/// True for the marks among [`LETTERS`] (general category M), with which no label begins (UTS 46 section 4.1).
fn is_mark(code: u32) -> bool {
    match code {
        0x64b..=0x652 | 0x7a6..=0x7b0 => true,
        // A letter that stands where other scripts have a mark.
        0x980 | 0xb83 | 0xc80 | 0xd3a | 0xd54..=0xd56 => false,
        0x94e | 0x94f | 0x9fe | 0xa70 | 0xa71 | 0xa75 | 0xafa..=0xaff | 0xc04 | 0xcf3 => true,
        // The scripts of India have their blocks alike,
        0x900..=0xd7f => matches!(code % 0x80, 0..=3 | 0x3a..=0x3c | 0x3e..=0x4d | 0x51..=0x57 | 0x62 | 0x63),
        // all but Sinhala.
        0xd81..=0xd83 | 0xdca..=0xddf | 0xdf2 | 0xdf3 => true,
        0xe31 | 0xe34..=0xe3a | 0xe47..=0xe4e | 0xeb1 | 0xeb4..=0xebc | 0xec8..=0xece => true, // Thai, Lao
        0x102b..=0x103e | 0x1056..=0x1059 | 0x105e..=0x1060 | 0x1062..=0x1064 | 0x1067..=0x106d => true, // Burmese
        0x1071..=0x1074 | 0x1082..=0x108d | 0x108f | 0x109a..=0x109d => true,
        0x135d..=0x135f | 0x17b6..=0x17d3 | 0x17dd => true, // Ethiopic, Khmer
        _ => false,
    }
}

fn too_long(length: usize) -> String {
    format!("has a part that is too long: {length} characters as DNS has it, and {A_LABEL_CAP} are the most")
}

/// The small letter of a capital one, of those in [`LETTERS`]; else the character itself.
fn lower(code: u32) -> u32 {
    match code {
        0x41..=0x5a | 0xc0..=0xd6 | 0xd8..=0xde | 0x391..=0x3a1 | 0x3a3..=0x3ab | 0x410..=0x42f => code + 32,
        // Pairs: the capital letter is even,
        0x100..=0x12f | 0x134..=0x137 | 0x14a..=0x177 | 0x1de..=0x1ef | 0x1f8..=0x21f | 0x222..=0x233 => {
            code | 1
        }
        0x460..=0x481 | 0x48a..=0x4bf | 0x4d0..=0x52f | 0x1e00..=0x1e95 | 0x1ea0..=0x1eff => code | 1,
        // or odd.
        0x139..=0x13e | 0x141..=0x148 | 0x179..=0x17e | 0x1cd..=0x1dc | 0x4c1..=0x4ce => (code + 1) & !1,
        0x178 => 0xff,
        0x1a0 | 0x1af => code + 1,
        0x386 => 0x3ac,
        0x388..=0x38a => code + 37,
        0x38c => 0x3cc,
        0x38e | 0x38f => code + 63,
        0x400..=0x40f => code + 80,
        0x4c0 => 0x4cf,
        0x531..=0x556 => code + 48,
        _ => code,
    }
}

/// Appends the punycode of a label (RFC 3492 section 6.3). Nothing overflows: see [`LABEL_CAP`].
fn encode(label: &[u32], out: &mut String) {
    let basic = label.iter().filter(|code| **code < FIRST_CODE).filter_map(|code| char::from_u32(*code));
    let start = out.len();
    out.extend(basic);
    let count = (out.len() - start) as u32;
    if count > 0 {
        out.push('-');
    }
    let (mut code, mut delta, mut bias, mut handled) = (FIRST_CODE, 0, FIRST_BIAS, count);
    while let Some(next) = label.iter().copied().filter(|other| *other >= code).min() {
        delta += (next - code) * (handled + 1);
        code = next;
        for other in label {
            if *other < code {
                delta += 1;
            }
            if *other == code {
                digits(delta, bias, out);
                bias = adapt(delta, handled + 1, handled == count);
                (delta, handled) = (0, handled + 1);
            }
        }
        (delta, code) = (delta + 1, code + 1);
    }
}

/// A whole number of variable length (section 3.3).
fn digits(mut number: u32, bias: u32, out: &mut String) {
    let mut digit = |value: u32| out.extend(char::from_digit(value, BASE).map(rotated));
    let mut place = BASE;
    loop {
        let threshold = place.saturating_sub(bias).clamp(T_MIN, T_MAX);
        if number < threshold {
            return digit(number);
        }
        digit(threshold + (number - threshold) % (BASE - threshold));
        number = (number - threshold) / (BASE - threshold);
        place += BASE;
    }
}

/// Digits are a-z, then 0-9 (section 5), not the other way round.
fn rotated(digit: char) -> char {
    let value = digit.to_digit(BASE).unwrap_or(0) as u8;
    char::from(if value < 26 { b'a' + value } else { b'0' + (value - 26) })
}

/// Section 6.1.
fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / DAMP } else { delta / 2 };
    delta += delta / points;
    let mut steps = 0;
    while delta > (BASE - T_MIN) * T_MAX / 2 {
        delta /= BASE - T_MIN;
        steps += BASE;
    }
    steps + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests;
