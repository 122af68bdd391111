//! Names: compressed in messages (RFC 1035 section 4.1.4), escaped as text (section 5.1).

use super::{read_u8, take, Error, MAX_LABEL, MAX_NAME};

/// True if two names are the same: ASCII case and a final dot do not count.
pub fn same_name(a: &str, b: &str) -> bool {
    fn bare(name: &str) -> &str {
        match name.strip_suffix('.') {
            Some(head) if !ends_escaped(head) => head,
            _ => name,
        }
    }
    bare(a).eq_ignore_ascii_case(bare(b))
}

/// True if what follows `head` is escaped: it ends in an odd number of backslashes.
fn ends_escaped(head: &str) -> bool {
    head.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// Appends a name in wire form: lower case, uncompressed. Takes a final dot and the escapes of [`read_name`].
///
/// # Errors
/// [`Error::Name`] for an empty or too long label, a too long name, or a broken escape.
pub fn write_name(name: &str, out: &mut Vec<u8>) -> Result<(), Error> {
    let start = out.len();
    if !name.is_empty() && name != "." {
        let mut bytes = name.bytes();
        let mut label = Vec::with_capacity(MAX_LABEL);
        while let Some(byte) = bytes.next() {
            match byte {
                b'.' => end_label(&mut label, out)?,
                b'\\' => label.push(unescape(&mut bytes)?.to_ascii_lowercase()),
                other => label.push(other.to_ascii_lowercase()),
            }
            if label.len() > MAX_LABEL || out.len() - start > MAX_NAME {
                return Err(Error::Name);
            }
        }
        if !label.is_empty() {
            end_label(&mut label, out)?;
        }
    }
    out.push(0);
    if out.len() - start > MAX_NAME {
        return Err(Error::Name);
    }
    Ok(())
}

/// Appends a label with its length and empties it.
fn end_label(label: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), Error> {
    if label.is_empty() || label.len() > MAX_LABEL {
        return Err(Error::Name);
    }
    out.push(label.len() as u8);
    out.append(label);
    Ok(())
}

/// The byte that stands after a backslash: three decimal digits, or itself.
fn unescape(bytes: &mut std::str::Bytes) -> Result<u8, Error> {
    let first = bytes.next().ok_or(Error::Name)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut value = u16::from(first - b'0');
    for _ in 0..2 {
        let digit = bytes.next().filter(u8::is_ascii_digit).ok_or(Error::Name)?;
        value = value * 10 + u16::from(digit - b'0');
    }
    u8::try_from(value).map_err(|_| Error::Name)
}

/// Reads a name that starts at `*at` of a message, follows its compression pointers, and moves `*at` behind it.
/// Dots and backslashes within a label come as `\.` and `\\`, bytes that are not printable ASCII as `\DDD`.
///
/// # Errors
/// [`Error::Truncated`], or [`Error::Name`] for what is too long, of an unknown label type, or does not point backwards.
pub fn read_name(bytes: &[u8], at: &mut usize) -> Result<String, Error> {
    let mut name = String::new();
    let mut cursor = *at;
    // Each pointer must lead to before the part that it was met in: so there is no circle.
    let mut limit = *at;
    let mut length = 1;
    let mut jumped = false;
    loop {
        let first = read_u8(bytes, &mut cursor)?;
        match first {
            0 => break,
            1..=0x3f => {
                length += usize::from(first) + 1;
                if length > MAX_NAME {
                    return Err(Error::Name);
                }
                if !name.is_empty() {
                    name.push('.');
                }
                push_label(take(bytes, &mut cursor, usize::from(first))?, &mut name);
            }
            0xc0..=0xff => {
                let target = usize::from(first & 0x3f) << 8 | usize::from(read_u8(bytes, &mut cursor)?);
                if !jumped {
                    *at = cursor;
                    jumped = true;
                }
                if target >= limit {
                    return Err(Error::Name);
                }
                limit = target;
                cursor = target;
            }
            _ => return Err(Error::Name),
        }
    }
    if !jumped {
        *at = cursor;
    }
    Ok(name)
}

/// Appends a label as text.
fn push_label(label: &[u8], name: &mut String) {
    for byte in label {
        match byte.to_ascii_lowercase() {
            b'.' => name.push_str("\\."),
            b'\\' => name.push_str("\\\\"),
            shown @ 0x21..=0x7e => name.push(char::from(shown)),
            odd => {
                name.push('\\');
                [odd / 100, odd / 10 % 10, odd % 10].iter().for_each(|d| name.push(char::from(b'0' + d)));
            }
        }
    }
}
