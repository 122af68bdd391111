//! `option schedule`: when a mapping is open, by the local clock: `mon-fri 08:00-20:00; sat,sun 10:00-16:00`.
//!
//! Windows are parted by `;`. A window has days, hours or both: without days it is of every day, without hours of
//! the whole day. Hours that end before they begin go over midnight and belong to the day on which they begin.

use super::value::sentence;
use crate::wire::tz::{weekday, Zone, DAY};
use std::fmt;

/// The most windows and, of each, ranges of hours.
const MAX_PARTS: usize = 16;
/// How far ahead a change is looked for: any day of the week comes within it.
const HORIZON: i64 = 8;
/// Minutes of a day.
const MINUTES: i64 = 24 * 60;
/// As they are written, Sunday first.
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// When something is open; at least one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Vec<Window>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Window {
    /// By weekday, Sunday first.
    days: [bool; 7],
    /// Minutes after midnight: from and to; the latter beyond the day where it goes over midnight.
    hours: Vec<(i64, i64)>,
}

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// The reason why it is none, which completes the sentence "option schedule: ...".
    pub fn parse(text: &str) -> Result<Schedule, String> {
        let mut windows = Vec::new();
        for text in text.split(';') {
            windows.push(window(text)?);
        }
        if windows.len() > MAX_PARTS {
            return Err(format!("has {} windows; {MAX_PARTS} are the most", windows.len()));
        }
        Ok(Schedule(windows))
    }

    /// Whether it is open at this Unix time.
    pub fn is_open(&self, zone: &Zone, unix: i64) -> bool {
        let local = unix + zone.offset(unix);
        let (day, minute) = (local.div_euclid(DAY), local.rem_euclid(DAY).div_euclid(60));
        self.0.iter().any(|window| {
            let on = |day| window.days.iter().zip(0..).any(|(on, n)| *on && n == weekday(day));
            let holds = |minute: i64| window.hours.iter().any(|(from, to)| (*from..*to).contains(&minute));
            on(day) && holds(minute) || on(day - 1) && holds(minute + MINUTES)
        })
    }

    /// The Unix time at which it opens or closes next. `None`: not within a week.
    pub fn next_change(&self, zone: &Zone, unix: i64) -> Option<i64> {
        let open = self.is_open(zone, unix);
        let today = (unix + zone.offset(unix)).div_euclid(DAY);
        // A reading of the clock at which a window begins or ends, by each offset from UTC; and where that changes.
        let mut times: Vec<i64> = zone.edges(unix, HORIZON * DAY).into_iter().map(|(at, _)| at).collect();
        for day in today - 1..=today + HORIZON {
            for window in &self.0 {
                for (from, to) in &window.hours {
                    for offset in zone.offsets() {
                        times.extend([from, to].map(|minute| day * DAY + minute * 60 - offset));
                    }
                }
            }
        }
        times.retain(|at| *at > unix);
        times.sort();
        times.dedup();
        times.into_iter().find(|at| self.is_open(zone, *at) != open)
    }
}

/// `Mon 08:00`, the local time at this Unix time.
pub fn clock_time(zone: &Zone, unix: i64) -> String {
    let local = unix + zone.offset(unix);
    let day = usize::try_from(weekday(local.div_euclid(DAY))).ok();
    let day = day.and_then(|day| ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"].get(day));
    format!("{} {}", day.unwrap_or(&""), Minute(local.rem_euclid(DAY) / 60))
}

fn window(text: &str) -> Result<Window, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_hours = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    let (days, hours) =
        match words.as_slice() {
            [hours] if is_hours(hours) => (None, Some(*hours)),
            [days] => (Some(*days), None),
            [days, hours] if !is_hours(days) => (Some(*days), Some(*hours)),
            _ => return Err(sentence(
                text.trim(),
                "is no window; write days, hours or both, such as mon-fri 08:00-20:00, and ; between windows",
            )),
        };
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    match hours {
        None => ranges.push((0, MINUTES)),
        Some(hours) => {
            for text in hours.split(',') {
                ranges.push(range_of_hours(text)?);
            }
        }
    }
    if ranges.len() > MAX_PARTS {
        return Err(format!("has {} ranges of hours in one window; {MAX_PARTS} are the most", ranges.len()));
    }
    Ok(Window { days: days.map_or(Ok([true; 7]), some_days)?, hours: ranges })
}

/// `mon-fri,sun`; a range may go over the end of the week.
fn some_days(text: &str) -> Result<[bool; 7], String> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let count = (last + 7 - first) % 7;
        for (n, on) in days.iter_mut().enumerate() {
            *on |= (n + 7 - first) % 7 <= count;
        }
    }
    Ok(days)
}

fn day(text: &str) -> Result<usize, String> {
    let found = DAYS.iter().position(|day| text.eq_ignore_ascii_case(day));
    found.ok_or_else(|| sentence(text, "is no day; write mon, tue, wed, thu, fri, sat or sun"))
}

/// `08:00-20:00`, over midnight `22:00-06:00`, to the end of the day `18:00-24:00`.
fn range_of_hours(text: &str) -> Result<(i64, i64), String> {
    let wrong = || sentence(text, "is no range of hours; write one such as 08:00-20:00");
    let (from, to) = text.split_once('-').ok_or_else(wrong)?;
    let (from, to) = (minute(from).ok_or_else(wrong)?, minute(to).ok_or_else(wrong)?);
    match from {
        _ if from == to => Err(sentence(text, "has no length; the whole day is 00:00-24:00")),
        MINUTES => Err(wrong()),
        _ => Ok((from, if to > from { to } else { to + MINUTES })),
    }
}

/// `08:00` to `24:00`, in minutes.
fn minute(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| -> Option<i64> {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    let (hours, minutes) = (number(hours)?, number(minutes).filter(|m| minutes.len() == 2 && *m < 60)?);
    Some(hours * 60 + minutes).filter(|minute| *minute <= MINUTES)
}

struct Minute(i64);

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// As it would be written, in the one spelling that there is for it.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, window) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("; ")?;
            }
            window.write(f)?;
        }
        Ok(())
    }
}

impl Window {
    /// Monday first; three or more in a row as a range.
    fn days(&self) -> String {
        let week = [1, 2, 3, 4, 5, 6, 0];
        let on = |day: &usize| self.days.get(*day) == Some(&true);
        let runs = week.chunk_by(|one, next| on(one) == on(next)).filter(|run| run.iter().all(on));
        let name = |day: &usize| DAYS.get(*day).copied().unwrap_or_default();
        let runs = runs.map(|run| match run {
            [first, _, .., last] if run.len() > 2 => format!("{}-{}", name(first), name(last)),
            run => run.iter().map(name).collect::<Vec<_>>().join(","),
        });
        runs.collect::<Vec<_>>().join(",")
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let every_day = self.days == [true; 7];
        if !every_day {
            f.write_str(&self.days())?;
        }
        if self.hours == [(0, MINUTES)] && !every_day {
            return Ok(());
        }
        for (n, (from, to)) in self.hours.iter().enumerate() {
            let before = match n {
                0 if every_day => "",
                0 => " ",
                _ => ",",
            };
            let to = if *to > MINUTES { to - MINUTES } else { *to };
            write!(f, "{before}{}-{}", Minute(*from), Minute(to))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use jiff::tz::TimeZone;

    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

    fn schedule(text: &str) -> Schedule {
        Schedule::parse(text).unwrap()
    }

    /// Unix time of a local one in Berlin, by another implementation.
    fn berlin(year: i16, month: i8, day: i8, hour: i8, minute: i8) -> i64 {
        let zone = TimeZone::posix(BERLIN).unwrap();
        date(year, month, day).at(hour, minute, 0, 0).to_zoned(zone).unwrap().timestamp().as_second()
    }

    #[test]
    fn spellings() {
        for (text, canonical) in [
            ("mon-fri 08:00-20:00", "mon-fri 08:00-20:00"),
            ("sat,sun 10:00-16:00", "sat,sun 10:00-16:00"),
            ("08:00-20:00", "08:00-20:00"),
            (" 8:00-20:00 ", "08:00-20:00"),
            ("22:00-06:00", "22:00-06:00"),
            ("Fri-Mon", "mon,fri-sun"),
            ("mon,wed,sun,tue", "mon-wed,sun"),
            ("sun", "sun"),
            ("sun-sat", "00:00-24:00"),
            ("00:00-24:00", "00:00-24:00"),
            ("18:00-24:00", "18:00-24:00"),
            ("mon 08:00-12:00,13:00-17:00;sat  ", "mon 08:00-12:00,13:00-17:00; sat"),
        ] {
            assert_eq!(schedule(text).to_string(), canonical, "{text}");
            assert_eq!(schedule(canonical).to_string(), canonical);
        }
        for (text, why) in [
            ("", "is no window"),
            ("mon;", "is no window"),
            ("08:00-20:00 mon", "is no window"),
            ("mon tue", "'tue' is no range of hours"),
            ("mom 08:00-20:00", "'mom' is no day"),
            ("mon- 08:00-20:00", "'' is no day"),
            ("08:00", "is no range of hours"),
            ("08-20", "is no range of hours"),
            ("08:0-20:00", "is no range of hours"),
            ("08:60-20:00", "is no range of hours"),
            ("08:00-24:01", "is no range of hours"),
            ("24:00-06:00", "is no range of hours"),
            ("+8:00-20:00", "is no day"),
            ("08:00-08:00", "has no length"),
            (&"mon;".repeat(16), "is no window"),
            (&["mon"; 17].join(";"), "17 windows"),
        ] {
            let error = Schedule::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn over_midnight_belongs_to_the_day_on_which_it_begins() {
        let (night, zone) = (schedule("fri 22:00-06:00"), Zone::parse(BERLIN).unwrap());
        let at = |day, hour, minute| night.is_open(&zone, berlin(2027, 1, day, hour, minute));
        // The 15th is a Friday.
        assert!(!at(15, 5, 0) && !at(15, 21, 59) && at(15, 22, 0) && at(16, 5, 59) && !at(16, 6, 0));
        assert!(!at(16, 22, 0) && !at(17, 5, 0));
    }

    /// Every minute around each change of summer time: the clock's reading decides, and the next change is the first.
    #[test]
    fn next_change_is_the_first_minute_that_differs() {
        let zone = Zone::parse(BERLIN).unwrap();
        for text in
            ["mon-fri 08:00-20:00", "sun 02:15-02:45", "22:00-02:30", "sat 02:30-24:00; sun 03:00-03:30"]
        {
            let schedule = schedule(text);
            for (month, day) in [(3, 27), (10, 30)] {
                let start = berlin(2027, month, day, 20, 0);
                let minutes: Vec<bool> =
                    (0..3 * MINUTES).map(|n| schedule.is_open(&zone, start + n * 60)).collect();
                for n in 0..MINUTES as usize {
                    let first = (n + 1..minutes.len()).find(|later| minutes[*later] != minutes[n]);
                    let found = schedule.next_change(&zone, start + n as i64 * 60);
                    let Some(first) = first else { continue };
                    assert_eq!(found, Some(start + first as i64 * 60), "{text} {month} minute {n}");
                }
            }
        }
    }

    #[test]
    fn always_and_by_name() {
        let zone = Zone::parse(BERLIN).unwrap();
        let now = berlin(2027, 1, 15, 12, 0);
        assert_eq!(schedule("00:00-24:00").next_change(&zone, now), None);
        let next = schedule("mon 08:00-09:00").next_change(&zone, now).unwrap();
        assert_eq!((next, clock_time(&zone, next).as_str()), (berlin(2027, 1, 18, 8, 0), "Mon 08:00"));
        let next = schedule("fri 12:00-13:00").next_change(&zone, berlin(2027, 1, 15, 13, 0)).unwrap();
        assert_eq!(next, berlin(2027, 1, 22, 12, 0));
    }
}
