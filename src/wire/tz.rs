//! Local time by a POSIX time zone string, as in OpenWrt's `/etc/TZ`: `CET-1CEST,M3.5.0,M10.5.0/3`.
//! POSIX.1-2024 (IEEE 1003.1) section 8.3, `TZ`; hours from -167 to 167 as there. All times in seconds.

/// A longer string is none, in bytes.
pub const MAX_BYTES: usize = 256;
/// What applies where summer time is named but not its rules: that of the United States, as in tzcode and glibc.
const USUAL_RULES: &str = "M3.2.0,M11.1.0";
/// When a rule's day does not say at which time: at two o'clock.
const USUAL_TIME: i64 = 2 * HOUR;
const HOUR: i64 = 3_600;
/// Seconds of a day.
pub const DAY: i64 = 24 * HOUR;

/// A time zone. The default is UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// Standard time is so far east of UTC.
    standard: i64,
    summer: Option<Summer>,
}

/// Summer time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Summer {
    /// It is so far east of UTC.
    offset: i64,
    begins: Edge,
    ends: Edge,
}

/// When one time gives way to the other, once a year.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Edge {
    day: Day,
    /// After that day's midnight, by the time that ends.
    time: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// `Jn`: the n-th day of the year, from 1; the 29th of February is never counted.
    Counted(i64),
    /// `n`: days after the first of January.
    After(i64),
    /// `Mm.w.d`: the w-th (5: the last) of that weekday (0: Sunday) in the month.
    Weekday { month: i64, week: i64, day: i64 },
}

impl Zone {
    /// Reads a string.
    ///
    /// # Errors
    /// What is wrong with it, in plain words.
    pub fn parse(text: &str) -> Result<Zone, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("it is longer than {MAX_BYTES} bytes"));
        }
        if text.starts_with(':') {
            return Err("it names a file of a time zone database".into());
        }
        let mut rest = Rest(text.as_bytes());
        rest.name().ok_or("it does not begin with a name of three letters or more, such as CET or <+03>")?;
        let standard = -rest.time(24).ok_or("after the name there is no offset from UTC, such as -1")?;
        if rest.0.is_empty() {
            return Ok(Zone { standard, summer: None });
        }
        rest.name().ok_or("after the offset there is no name of summer time")?;
        let offset = match rest.0.first() {
            None | Some(b',') => standard + HOUR,
            Some(_) => -rest.time(24).ok_or("summer time's offset from UTC makes no sense")?,
        };
        if rest.0.is_empty() {
            rest = Rest(USUAL_RULES.as_bytes());
        } else {
            rest.take(b',').ok_or("there is no comma before the rules of summer time")?;
        }
        let wrong = "summer time's rules make no sense; they look like M3.5.0,M10.5.0/3";
        let begins = rest.edge().ok_or(wrong)?;
        rest.take(b',').ok_or(wrong)?;
        let ends = rest.edge().filter(|_| rest.0.is_empty()).ok_or(wrong)?;
        Ok(Zone { standard, summer: Some(Summer { offset, begins, ends }) })
    }

    /// How far local time is east of UTC at this Unix time.
    pub fn offset(&self, unix: i64) -> i64 {
        // An edge may lie up to a week outside of its year.
        let last = self.edges(unix, 2 * DAY * 366).into_iter().filter(|(at, _)| *at <= unix).max();
        match (&self.summer, last) {
            (Some(summer), Some((_, true))) => summer.offset,
            _ => self.standard,
        }
    }

    /// The two offsets that there are.
    pub fn offsets(&self) -> [i64; 2] {
        [self.standard, self.summer.as_ref().map_or(self.standard, |summer| summer.offset)]
    }

    /// When the offset may change, by Unix time, within so many seconds before and after `unix`; true where summer
    /// time begins.
    pub fn edges(&self, unix: i64, within: i64) -> Vec<(i64, bool)> {
        let Some(summer) = &self.summer else { return Vec::new() };
        let year = year_of(unix.div_euclid(DAY));
        let mut edges = Vec::new();
        for year in year - 2..=year + 1 {
            edges.push((summer.begins.at(year) - self.standard, true));
            edges.push((summer.ends.at(year) - summer.offset, false));
        }
        edges.retain(|(at, _)| (at - unix).abs() <= within);
        edges
    }
}

impl Edge {
    /// In this year, in local seconds since 1970.
    fn at(&self, year: i64) -> i64 {
        self.day.in_year(year) * DAY + self.time
    }
}

impl Day {
    /// In this year, in days since 1970.
    fn in_year(self, year: i64) -> i64 {
        match self {
            Day::Counted(n) => first_of(year, 1) + n - 1 + i64::from(is_leap(year) && n >= 60),
            Day::After(n) => first_of(year, 1) + n,
            Day::Weekday { month, week, day } => {
                let first = first_of(year, month);
                let next = if month == 12 { first_of(year + 1, 1) } else { first_of(year, month + 1) };
                let nth = first + (day - weekday(first)).rem_euclid(7) + 7 * (week - 1);
                if nth < next {
                    nth
                } else {
                    nth - 7
                }
            }
        }
    }
}

/// The weekday of a day since 1970; 0: Sunday.
pub fn weekday(day: i64) -> i64 {
    (day + 4).rem_euclid(7)
}

fn is_leap(year: i64) -> bool {
    year.rem_euclid(4) == 0 && year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0
}

/// The first day of a month (1 to 12), in days since 1970.
fn first_of(year: i64, month: i64) -> i64 {
    let before = year - 1;
    let leaps = before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400);
    // Of the year 1970 itself: 719162 days since the first of January of the year 1.
    let january = before * 365 + leaps - 719_162;
    let of_months = (367 * month - 362).div_euclid(12);
    january + of_months - if month <= 2 { 0 } else { 2 - i64::from(is_leap(year)) }
}

/// The year of a day since 1970.
fn year_of(day: i64) -> i64 {
    // 400 years have 146097 days; the guess is right or a year too early or too late.
    let guess = 1970 + (day * 400).div_euclid(146_097);
    let year = if first_of(guess, 1) > day { guess - 1 } else { guess };
    if first_of(year + 1, 1) <= day {
        year + 1
    } else {
        year
    }
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    /// `CET`, or in angle brackets with digits and signs: `<+03>`.
    fn name(&mut self) -> Option<()> {
        let quoted = self.take(b'<').is_some();
        let fits = |b: &u8| b.is_ascii_alphabetic() || quoted && (b.is_ascii_digit() || b"+-".contains(b));
        let length = self.0.iter().take_while(|b| fits(b)).count();
        self.0 = self.0.get(length..)?;
        if quoted {
            self.take(b'>')?;
        }
        (length >= 3).then_some(())
    }

    /// `[+-]hh[:mm[:ss]]`.
    fn time(&mut self, most_hours: i64) -> Option<i64> {
        let negative = self.take(b'-').is_some();
        if !negative {
            let _ = self.take(b'+');
        }
        let mut seconds = self.number(0, most_hours)? * HOUR;
        for unit in [60, 1] {
            if self.take(b':').is_none() {
                break;
            }
            seconds += self.number(0, 59)? * unit;
        }
        Some(if negative { -seconds } else { seconds })
    }

    fn edge(&mut self) -> Option<Edge> {
        let day = if self.take(b'J').is_some() {
            Day::Counted(self.number(1, 365)?)
        } else if self.take(b'M').is_some() {
            let month = self.number(1, 12)?;
            self.take(b'.')?;
            let week = self.number(1, 5)?;
            self.take(b'.')?;
            Day::Weekday { month, week, day: self.number(0, 6)? }
        } else {
            Day::After(self.number(0, 365)?)
        };
        let time = if self.take(b'/').is_some() { self.time(167)? } else { USUAL_TIME };
        Some(Edge { day, time })
    }

    /// At most three digits.
    fn number(&mut self, least: i64, most: i64) -> Option<i64> {
        let length = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(length).filter(|_| (1..=3).contains(&length))?;
        self.0 = rest;
        let number = digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
        (least..=most).contains(&number).then_some(number)
    }
}

#[cfg(test)]
mod tests;
