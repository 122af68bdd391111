//! The standard's samples, and all letters against the Unicode tables of another implementation.

use super::*;
use proptest::prelude::*;

fn codes(text: &str) -> Vec<u32> {
    text.chars().map(u32::from).collect()
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    encode(&codes(text), &mut out);
    out
}

/// RFC 3492 section 7.1; in (I) its one capital letter only annotates.
#[test]
fn the_samples_of_the_standard() {
    for (text, code) in [
        ("ليهمابتكلموشعربي؟", "egbpdaj6bu4bxfgehfvwxn"),
        ("他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye"),
        ("他們爲什麽不說中文", "ihqwctvzc91f659drss3x8bo0yb"),
        ("Pročprostěnemluvíčesky", "Proprostnemluvesky-uyb24dma41a"),
        ("למההםפשוטלאמדבריםעברית", "4dbcagdahymbxekheh6e0a7fei0b"),
        ("यहलोगहिन्दीक्योंनहींबोलसकतेहैं", "i1baa7eci9glrd9b2ae1bj0hfcgg6iyaf8o0a1dig0cd"),
        ("なぜみんな日本語を話してくれないのか", "n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa"),
        (
            "세계의모든사람들이한국어를이해한다면얼마나좋을까",
            "989aomsvi5e83db1d2a355cv1e0vak1dwrv93d5xbh15a0dt30a5jpsd879ccm6fea98c",
        ),
        ("почемужеонинеговорятпорусски", "b1abfaaepdrnnbgefbadotcwatmq2g4l"),
        ("PorquénopuedensimplementehablarenEspañol", "PorqunopuedensimplementehablarenEspaol-fmd56a"),
        ("TạisaohọkhôngthểchỉnóitiếngViệt", "TisaohkhngthchnitingVit-kjcr8268qyxafd2f1b9g"),
        ("3年B組金八先生", "3B-ww4c5e180e575a65lsy2b"),
        ("安室奈美恵-with-SUPER-MONKEYS", "-with-SUPER-MONKEYS-pc58ag80a8qai00g7n9n"),
        ("Hello-Another-Way-それぞれの場所", "Hello-Another-Way--fc4qua05auwb3674vfr0b"),
        ("ひとつ屋根の下2", "2-u9tlzr9756bt3uc0v"),
        ("MajiでKoiする5秒前", "MajiKoi5-783gue6qz075azm5e"),
        ("パフィーdeルンバ", "de-jg4avhby1noc0d"),
        ("そのスピードで", "d9juau41awczczp"),
        ("-> $1.00 <-", "-> $1.00 <--"),
    ] {
        assert_eq!(encoded(text), code, "{text}");
    }
}

#[test]
fn names_become_a_labels() {
    for (name, ascii) in [
        ("cam.example.com", "cam.example.com"),
        ("*.BÜCHER.example", "*.xn--bcher-kva.example"),
        ("测试.中国", "xn--0zwm56d.xn--fiqs8s"),
        ("测试。中国", "xn--0zwm56d.xn--fiqs8s"),
        ("cam．bücher｡example", "cam.xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("ПРИМЕР.РФ", "xn--e1afmkfd.xn--p1ai"),
        ("παράδειγμα.δοκιμή", "xn--hxajbheg2az3al.xn--jxalpdlp"),
        ("דוגמה.טעסט", "xn--6dbbec0c.xn--deba0ad"),
        ("مثال.إختبار", "xn--mgbh0fb.xn--kgbechtv"),
        ("उदाहरण.परीक्षा", "xn--p1b6ci4b4b3a.xn--11b5bs3a9aj6g"),
        ("", ""),
        ("..", ".."),
    ] {
        assert_eq!(to_ascii(name).as_deref(), Ok(ascii), "{name}");
    }
}

#[test]
fn what_would_need_tables_is_refused() {
    for (name, part) in [
        ("bu\u{308}cher.example", "U+0308"),
        ("ﬁsh.example", "U+FB01"),
        ("ｃａｍ.example", "U+FF43"),
        ("i❤.example", "U+2764"),
        ("a\u{200d}b.example", "U+200D"),
        ("\u{202e}moc.example", "U+202E"),
        ("a\u{80}.example", "U+0080"),
        ("a b\u{a0}.example", "U+00A0"),
        ("İstanbul.example", "U+0130"),
        ("가\u{1100}.example", "U+1100"),
        ("か\u{3099}.example", "U+3099"),
        ("😀.example", "U+1F600"),
        ("xn--bücher.example", "hyphens"),
        ("ab--ü.example", "hyphens"),
        ("-ü.example", "hyphens"),
        ("ü-.example", "hyphens"),
        ("\u{93e}क.example", "U+093E"),
        ("\u{e48}ก.example", "U+0E48"),
        ("न\u{93c}.example", "U+093C"),
        ("க\u{bc6}\u{bbe}.example", "U+0BBE"),
        ("ক\u{9c7}\u{9be}.example", "U+09BE"),
        ("క\u{c46}\u{c4d}\u{c56}.example", "U+0C56"),
        ("\u{1025}\u{102e}.example", "U+102E"),
        ("ก\u{e48}\u{e38}.example", "U+0E38"),
        ("ب\u{651}\u{64e}.example", "U+064E"),
        ("abcא.example", "mixes"),
        ("1א.example", "mixes"),
        ("\u{6f0}\u{680}.example", "mixes"),
        ("ب\u{661}1.example", "mixes"),
        (&"ü".repeat(64), "too long"),
        (&"ü".repeat(100_000), "too long"),
    ] {
        let why = to_ascii(name).unwrap_err();
        assert!(why.contains(part), "{part}: {why}");
        assert!(why.is_ascii() && why.len() < 160, "{why}");
    }
}

/// The name as the idna crate has it, which holds the whole tables (UTS 46, not transitional).
fn by_tables(name: &str) -> Option<String> {
    idna::domain_to_ascii_cow(name.as_bytes(), idna::AsciiDenyList::STD3).ok().map(|name| name.into_owned())
}

/// Names as people write them, with the marks that are refused elsewhere.
#[test]
fn marks_in_their_places_are_taken() {
    for name in [
        "বাংলা",
        "সোনার",
        "ஃபேஸ்புக்",
        "தமிழ்",
        "लड़का",
        "ශ්‍රී".split('\u{200d}').next().unwrap(),
        "ที่นี่",
        "ພາສາລາວ",
        "العَرَبِيَّة".split('َ').next().unwrap(),
        "ខ្មែរ",
    ] {
        assert_eq!(to_ascii(name).ok(), by_tables(name), "{name}");
        assert!(by_tables(name).is_some(), "{name}");
    }
}

/// What the tables and this know, by blocks of 128 signs, and with them what is in every block.
fn blocks() -> &'static [Vec<char>] {
    static BLOCKS: std::sync::OnceLock<Vec<Vec<char>>> = std::sync::OnceLock::new();
    BLOCKS.get_or_init(|| {
        let known = |code: &char| {
            let base = if (0x590..0x900).contains(&u32::from(*code)) { "א" } else { "x" };
            let name = format!("{base}{code}{base}");
            to_ascii(&name).is_ok() && by_tables(&name).is_some()
        };
        let block = |at: u32| (at..at + 0x80).filter_map(char::from_u32).filter(known).collect::<Vec<_>>();
        let blocks = (0x80..0x3400).step_by(0x80).map(block).filter(|block| block.len() > 20);
        blocks.collect()
    })
}

/// Every letter that is taken, and every capital letter of it: either the tables agree, or they know no such letter.
#[test]
fn every_letter_is_what_the_tables_make_of_it() {
    let (mut known, mut wrong) = (0, Vec::new());
    for code in (0x80..0x33000).filter_map(char::from_u32) {
        let base = if (0x590..0x900).contains(&u32::from(code)) { "א" } else { "x" };
        let name = format!("{base}{code}{base}.example");
        let Ok(ours) = to_ascii(&name) else { continue };
        if let Some(theirs) = by_tables(&name) {
            if ours != theirs {
                wrong.push(format!("U+{:04X}", u32::from(code)));
            }
            known += 1;
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert!(known > 80_000, "{known}");
}

/// What may begin a label: exactly what the tables let stand alone, digits apart.
#[test]
fn marks_alone_are_refused() {
    for code in blocks().iter().flatten().filter(|code| !code.is_numeric()) {
        let name = code.to_string();
        assert_eq!(to_ascii(&name).ok(), by_tables(&name), "U+{:04X}", u32::from(*code));
    }
}

proptest! {
    #[test]
    fn whole_names_are_what_the_tables_make_of_them(
        name in r"[a-z0-9A-ZÀ-ÖØ-öø-įıĴ-ľŁ-ňŊ-žΆΈ-ΊΌΎ-ΡΣ-Ϋά-ώА-џ一-鿿가-힣ぁ-ゖァ-ヺ]{1,20}[.。][a-zà-öа-я测试中国]{2,10}"
    ) {
        let theirs = by_tables(&name);
        let ours = to_ascii(&name).ok();
        // They also look at the length, and at what begins with xn--.
        if let (Some(ours), Some(theirs)) = (&ours, &theirs) {
            prop_assert_eq!(ours.to_ascii_lowercase(), theirs.clone(), "{}", name);
        }
        let long = ours.as_ref().is_some_and(|ours| ours.split('.').any(|label| label.len() > 63));
        prop_assert!(theirs.is_some() == ours.is_some() || long, "{}: {:?} {:?}", name, ours, theirs);
    }

    /// Whatever letters and marks stand together: what is taken is taken as it stands, and the tables take it too.
    #[test]
    fn sequences_are_what_the_tables_make_of_them(
        block in 0..blocks().len(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..8),
        digits in "[0-9-]{0,2}",
    ) {
        let block = &blocks()[block];
        let mut name: String = picks.iter().map(|pick| *pick.get(block)).collect();
        name.push_str(&digits);
        if let Ok(ours) = to_ascii(&name) {
            let codes: Vec<String> = name.chars().map(|c| format!("{:04X}", u32::from(c))).collect();
            prop_assert_eq!(Some(ours), by_tables(&name), "{:?}", codes);
        }
    }

    #[test]
    fn no_text_makes_it_panic(name in any::<String>()) {
        let _ = to_ascii(&name);
    }
}
