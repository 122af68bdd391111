//! The known name that is nearest to a mistyped one: optimal string alignment distance (insert,
//! delete, replace, swap of neighbours), with a limit, so that no far-fetched name is offered.

/// Names longer than this (bytes) are not compared.
const NAME_CAP: usize = 64;
/// The most steps that two near names are apart.
pub const FAR: usize = 3;

/// The nearest of `known` to `word`, if it is near enough to be meant; the first of several equally near.
pub fn nearest<'a>(word: &str, known: &mut dyn Iterator<Item = &'a str>) -> Option<&'a str> {
    near(word, known).into_iter().min_by_key(|(far, _)| *far).map(|(_, name)| name)
}

/// All of `known` that are near enough to `word` to be meant, each with its distance, in the order of `known`.
pub fn near<'a>(word: &str, known: &mut dyn Iterator<Item = &'a str>) -> Vec<(usize, &'a str)> {
    let lower = word.to_ascii_lowercase();
    let limit = (word.len() / 3).clamp(1, FAR);
    let mut found = Vec::new();
    for name in known {
        let far = distance(lower.as_bytes(), name.to_ascii_lowercase().as_bytes());
        found.extend(far.filter(|far| *far <= limit && *far < name.len()).map(|far| (far, name)));
    }
    found
}

/// `; did you mean 'NAME'?`, or nothing where no name is near.
pub fn did_you_mean(word: &str, known: &mut dyn Iterator<Item = &str>) -> String {
    nearest(word, known).map_or(String::new(), |name| format!("; did you mean '{name}'?"))
}

/// Optimal string alignment distance; `None` if a word is too long to be compared.
fn distance(a: &[u8], b: &[u8]) -> Option<usize> {
    if a.len() > NAME_CAP || b.len() > NAME_CAP {
        return None;
    }
    // Three rows of the table: two above, the one above, the present one.
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut previous_a = None;
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        let mut previous_b = None;
        for (j, cb) in b.iter().enumerate() {
            let replaced = above.get(j)? + usize::from(ca != cb);
            let mut best = replaced.min(above.get(j + 1)? + 1).min(row.get(j)? + 1);
            if previous_a == Some(cb) && previous_b == Some(ca) {
                best = best.min(before.get(j.checked_sub(1)?)? + 1);
            }
            row.push(best);
            previous_b = Some(cb);
        }
        before = std::mem::replace(&mut above, row);
        previous_a = Some(ca);
    }
    above.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, far) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("ca", "ac", 1),
            ("tokne", "token", 1),
            ("abc", "abc", 0),
        ] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), Some(far), "{a} {b}");
            assert_eq!(distance(b.as_bytes(), a.as_bytes()), Some(far), "{b} {a}");
        }
    }

    #[test]
    fn only_near_names_are_offered() {
        let known = ["provider", "domain", "wan", "ttl", "token"];
        assert_eq!(nearest("provdier", &mut known.into_iter()), Some("provider"));
        assert_eq!(nearest("domains", &mut known.into_iter()), Some("domain"));
        assert_eq!(nearest("TTL", &mut known.into_iter()), Some("ttl"));
        assert_eq!(nearest("password", &mut known.into_iter()), None);
        assert_eq!(nearest("x", &mut ["y"].into_iter()), None);
        assert_eq!(nearest(&"x".repeat(1000), &mut known.into_iter()), None);
    }
}
