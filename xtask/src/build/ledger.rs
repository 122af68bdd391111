//! Where the bytes are: the linker's map, each piece of which falls into one line of the ledger by its name. What
//! no piece claims (headers, padding) is the runtime's, so that the lines add up to the file.

use crate::bench::weight;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// A line of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// The standard library, musl, the crates, TLS.
    Runtime,
    /// Configuration, sensors, plan, the loop, the mapping of a port.
    Core,
    /// The DNS services, what signs their requests, and their JSON.
    Providers,
    /// Finding cameras, and asking them whether they want a password.
    Camera,
    /// Mappings in routers above us, and tunnels.
    WaysOut,
    /// Verbs, status, the control socket, messages to the owner.
    View,
}

impl Line {
    /// All lines.
    pub const ALL: [Line; 6] =
        [Line::Runtime, Line::Core, Line::Providers, Line::Camera, Line::WaysOut, Line::View];

    /// The name in the budget and in print.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Line::Runtime => "runtime_tls",
            Line::Core => "core",
            Line::Providers => "providers",
            Line::Camera => "camera",
            Line::WaysOut => "ways_out",
            Line::View => "view",
        }
    }
}

/// The first rule of which a piece's name holds the pattern decides. Names are rustc's (v0 mangling): a crate or
/// module with the length of its name before it. Generic code of a crate that was made for one of our types is ours.
const RULES: &[(&str, Line)] = &[
    ("10porchlight8provider", Line::Providers),
    ("10porchlight4sign3frp", Line::WaysOut),
    ("10porchlight4sign", Line::Providers),
    ("10porchlight4wire4json", Line::Providers),
    ("10nanoserde", Line::Providers),
    ("_4hmac", Line::Providers),
    ("_4sha2", Line::Providers),
    ("10porchlight4wire4rtsp", Line::Camera),
    ("10porchlight4wire5onvif", Line::Camera),
    ("10porchlight6camera", Line::Camera),
    ("10porchlight3cli7cameras", Line::Camera),
    ("10porchlight4wire4http", Line::Camera),
    ("10porchlight6tunnel", Line::WaysOut),
    ("10porchlight4plan6tunnel", Line::WaysOut),
    ("10porchlight5agent6tunnel", Line::WaysOut),
    ("10porchlight5state6tunnel", Line::WaysOut),
    ("10porchlight4wire4bore", Line::WaysOut),
    ("10porchlight4wire3frp", Line::WaysOut),
    ("10porchlight4wire5yamux", Line::WaysOut),
    ("10porchlight5sense6natmap", Line::WaysOut),
    ("10porchlight3cli6tether", Line::WaysOut),
    ("10porchlight3act7witness", Line::WaysOut),
    ("10porchlight4plan7witness", Line::WaysOut),
    ("10porchlight4plan8upstream", Line::WaysOut),
    ("10porchlight5agent8upstream", Line::WaysOut),
    ("10porchlight5state8upstream", Line::WaysOut),
    ("10porchlight4wire4echo", Line::WaysOut),
    ("10porchlight4wire6whoami", Line::WaysOut),
    ("10porchlight7mapping8upstream", Line::WaysOut),
    ("10porchlight4wire3pcp", Line::WaysOut),
    ("10porchlight4wire6natpmp", Line::WaysOut),
    ("10porchlight4wire3igd", Line::WaysOut),
    ("10porchlight3cli", Line::View),
    ("10porchlight6status", Line::View),
    ("10porchlight7control", Line::View),
    ("10porchlight6import", Line::View),
    ("10porchlight6doctor", Line::View),
    ("10porchlight6notify", Line::View),
    ("10porchlight3act4tell", Line::View),
    ("10porchlight4plan6notify", Line::View),
    ("10porchlight7metrics", Line::View),
    ("10porchlight", Line::Core),
];
/// Constants without a name: the group (one crate's) that has most bytes is ours.
const UNNAMED: &str = "$anon.";
/// Sections that take no room in the file, or are none of a stripped one.
const NOT_IN_FILE: [&str; 7] =
    [".bss", ".tbss", ".relro_padding", ".comment", ".symtab", ".strtab", ".debug"];

/// One piece of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    bytes: u64,
    /// The section's name in its object, which holds the function's.
    name: String,
    /// The object or archive.
    file: String,
}

/// What was counted.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Bytes of each line of [`Line::ALL`].
    pub lines: Vec<u64>,
    /// Crates and our own modules with their bytes, the largest first.
    pub parts: Vec<(String, u64)>,
    /// The code of [`Line::Providers`], by module, the largest first.
    pub providers: Vec<(String, u64)>,
    /// The whole file.
    pub total: u64,
}

impl Ledger {
    /// Each line's name in the budget with its bytes, and last the whole file.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let lines = Line::ALL.iter().map(|line| line.name()).zip(self.lines.iter().copied());
        lines.chain([("in_all", self.total)])
    }
}

/// Reads the linker's map of a program.
///
/// # Errors
/// When a file cannot be read.
pub fn read(program: &Path, map: &Path) -> Result<Ledger> {
    let total = fs::metadata(program).with_context(|| format!("no {}", program.display()))?.len();
    let text = fs::read_to_string(map).with_context(|| format!("no {}", map.display()))?;
    let mut ledger = count(&text, total);
    // Texts have no names in the map, and so fell to the core; those of the rows are the providers'.
    let texts = weight::texts_of_all().min(ledger.lines[Line::Core as usize]);
    ledger.lines[Line::Core as usize] -= texts;
    ledger.lines[Line::Providers as usize] += texts;
    Ok(ledger)
}

/// Adds the pieces of a map up.
fn count(map: &str, total: u64) -> Ledger {
    let pieces = pieces(map);
    let ours = largest_unnamed(&pieces);
    let mut ledger = Ledger { lines: vec![0; Line::ALL.len()], total, ..Ledger::default() };
    let mut add = |line: Line, part: String, bytes: u64| {
        ledger.lines[line as usize] += bytes;
        sum(&mut ledger.parts, part, bytes);
    };
    let mut rest = total;
    for piece in &pieces {
        rest = rest.saturating_sub(piece.bytes);
        add(line(piece, ours.as_deref()), part(piece), piece.bytes);
    }
    add(Line::Runtime, "headers and padding".into(), rest);
    for piece in pieces.iter().filter(|piece| line(piece, ours.as_deref()) == Line::Providers) {
        sum(&mut ledger.providers, module(piece), piece.bytes);
    }
    for list in [&mut ledger.parts, &mut ledger.providers] {
        list.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    }
    ledger
}

/// Adds to the sum of a name.
fn sum(list: &mut Vec<(String, u64)>, name: String, bytes: u64) {
    match list.iter_mut().find(|(other, _)| *other == name) {
        Some((_, sum)) => *sum += bytes,
        None => list.push((name, bytes)),
    }
}

/// The input sections of ld.lld's map. Its lines are address, address in memory, size, alignment (the first three
/// in hexadecimal), and a name that stands 1 (output section), 9 (input section) or 17 (symbol) columns further.
fn pieces(map: &str) -> Vec<Piece> {
    let mut in_file = false;
    let mut found = Vec::new();
    for text in map.lines() {
        let mut rest = text;
        let mut field = || {
            rest = rest.trim_start();
            let (word, after) = rest.split_once(' ')?;
            rest = after;
            Some(word)
        };
        let (Some(_), Some(_), Some(size), Some(_)) = (field(), field(), field(), field()) else { continue };
        let Ok(bytes) = u64::from_str_radix(size, 16) else { continue };
        if !rest.starts_with(' ') {
            in_file = !NOT_IN_FILE.iter().any(|name| rest.starts_with(name));
        } else if let (true, Some((file, name))) =
            (in_file && !rest.starts_with("         "), rest.rsplit_once(":("))
        {
            found.push(Piece { bytes, name: name.trim_end_matches(')').into(), file: file.trim().into() });
        }
    }
    found
}

/// The group of constants without a name that has most bytes.
fn largest_unnamed(pieces: &[Piece]) -> Option<String> {
    let mut sums: Vec<(&str, u64)> = Vec::new();
    for piece in pieces {
        let Some(group) = unnamed(piece) else { continue };
        match sums.iter_mut().find(|(name, _)| *name == group) {
            Some((_, sum)) => *sum += piece.bytes,
            None => sums.push((group, piece.bytes)),
        }
    }
    sums.into_iter().max_by_key(|(_, sum)| *sum).map(|(name, _)| name.to_string())
}

fn unnamed(piece: &Piece) -> Option<&str> {
    piece.name.split_once(UNNAMED)?.1.split('.').next()
}

fn line(piece: &Piece, ours: Option<&str>) -> Line {
    if unnamed(piece).is_some_and(|group| Some(group) == ours) {
        return Line::Core;
    }
    RULES.iter().find(|(pattern, _)| piece.name.contains(pattern)).map_or(Line::Runtime, |(_, line)| *line)
}

/// The crate, of our own the module as well, or the archive.
fn part(piece: &Piece) -> String {
    if let Some((_, after)) = piece.name.split_once("10porchlight") {
        return format!("porchlight {}", word(after).unwrap_or("(root)"));
    }
    if let Some(at) = piece.name.find("_R") {
        let mangled = piece.name.split_at(at + 2).1;
        // A crate's root is "C", perhaps "s…_", and the length and name.
        let crates = mangled.split('C').skip(1).filter_map(|text| {
            let text = match text.strip_prefix('s') {
                Some(hash) => hash.split_once('_')?.1,
                None => text,
            };
            word(text)
        });
        if let Some(name) = crates.into_iter().next() {
            return name.to_string();
        }
    }
    match piece.file.rsplit('/').next().unwrap_or_default().split('(').next().unwrap_or_default() {
        _ if piece.file.contains("libc.a(") => "musl".into(),
        _ if piece.name.contains(UNNAMED) => "constants without a name".into(),
        archive if archive.contains("ring") => "ring (C)".into(),
        archive if archive.contains("compiler_builtins") || archive.contains("compiler_rt") => {
            "compiler's builtins".into()
        }
        _ => "other".into(),
    }
}

/// One of our modules within its parent (`provider::cloudflare`), or the crate.
fn module(piece: &Piece) -> String {
    let inner = piece.name.split_once("10porchlight").and_then(|(_, after)| {
        let outer = word(after)?;
        let (_, rest) = after.split_once(outer)?;
        Some(format!("{outer}::{}", word(rest).unwrap_or("(itself)")))
    });
    inner.unwrap_or_else(|| part(piece))
}

/// The identifier of a length and a name: `4core3fmt` is `core`.
fn word(text: &str) -> Option<&str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (length, rest) = text.split_at_checked(digits)?;
    let rest = rest.strip_prefix('_').unwrap_or(rest);
    rest.get(..length.parse().ok()?).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "\
     VMA      LMA     Size Align Out     In      Symbol
   10170    10170      130     4 .text
   10170    10170       64     4         a.o:(.text._RNvNtCs1_10porchlight8provider6update)
   10170    10170       64     1                 _RNvNtCs1_10porchlight8provider6update
   101d4    101d4       32     4         a.o:(.text._RINvNtCs5Hx_4core3ptr4dropNtNtCs1_10porchlight5agent5AgentE)
   10206    10206        a     4         /z/libc.a(/z/x.o):(.text.memcpy)
   10210    10210       10     4         a.o:(.rodata.$anon.aa.1)
   10220    10220        8     4         a.o:(.rodata.$anon.bb.1)
   10230    10230      100     4 .bss
   10230    10230      100     4         a.o:(.bss.x)
       0        0      400     1 .debug_info
       0        0      400     1         a.o:(.debug_info)
";

    #[test]
    fn every_byte_of_the_file_falls_into_one_line() {
        let ledger = count(MAP, 400);
        assert_eq!(ledger.lines.iter().sum::<u64>(), 400);
        let of = |line: Line| ledger.lines[line as usize];
        assert_eq!((of(Line::Providers), of(Line::Core)), (0x64, 0x32 + 0x10));
        assert_eq!(of(Line::Runtime), 400 - 0x64 - 0x32 - 0x10);
        let part = |name: &str| ledger.parts.iter().find(|(part, _)| part == name).map(|(_, bytes)| *bytes);
        assert_eq!(part("porchlight provider"), Some(0x64));
        assert_eq!(part("porchlight agent"), Some(0x32));
        assert_eq!(part("musl"), Some(0xa));
        assert_eq!(ledger.providers, [("provider::update".to_string(), 0x64)]);
    }

    #[test]
    fn lines_stand_where_they_are_counted() {
        assert!(Line::ALL.iter().enumerate().all(|(at, line)| *line as usize == at));
    }
}
