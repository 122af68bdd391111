//! The clocks: what they say, and when the wall clock is set.

use super::Teller;
use crate::model::{Event, Now, Time};
use async_io::Async;
use rustix::time::{ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// The timer is armed this far ahead, in seconds (ten years), and anew when it expires: only a clock that is set
/// ends it before.
const FAR: i64 = 10 * 365 * 86_400;
/// A boot id is a UUID in text.
const BOOT_ID_LEN: usize = 36;

/// Both clocks.
pub fn now() -> Now {
    let boot = rustix::time::clock_gettime(ClockId::Boottime);
    let wall = rustix::time::clock_gettime(ClockId::Realtime);
    let millis = seconds(boot).saturating_mul(1000).saturating_add(boot.tv_nsec as u64 / 1_000_000);
    Now { boot: Time(millis), wall: seconds(wall) }
}

/// Seconds since boot (`CLOCK_BOOTTIME`).
pub fn boot_seconds() -> u64 {
    seconds(rustix::time::clock_gettime(ClockId::Boottime))
}

fn seconds(time: Timespec) -> u64 {
    u64::try_from(time.tv_sec).unwrap_or(0)
}

/// What the kernel calls this boot; `None` where proc is not mounted below `root`.
pub fn boot_id(root: &Path) -> Option<String> {
    let text = std::fs::read_to_string(root.join("proc/sys/kernel/random/boot_id")).ok()?;
    let id = text.trim();
    let fits = id.len() == BOOT_ID_LEN && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    fits.then(|| id.to_string())
}

/// Tells [`Event::ClockSet`] whenever the wall clock is set (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET), until
/// nobody listens any more. Sleeps otherwise. Fails only where the timer does.
pub async fn run(tell: Teller) -> io::Result<()> {
    let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
    let timer = Async::new_nonblocking(rustix::time::timerfd_create(TimerfdClockId::Realtime, flags)?)?;
    arm(&timer)?;
    loop {
        timer.readable().await?;
        let was_set = match rustix::io::read(&timer, &mut [0u8; 8]) {
            Err(rustix::io::Errno::CANCELED) => true,
            Ok(_) => false,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => continue,
            Err(err) => return Err(err.into()),
        };
        let set_meanwhile = arm(&timer)?;
        if (was_set || set_meanwhile) && !tell(Event::ClockSet) {
            return Ok(());
        }
    }
}

/// Arms the timer far ahead. True if the clock was set since it was armed last; it is armed all the same.
fn arm(timer: &Async<OwnedFd>) -> io::Result<bool> {
    let now = rustix::time::clock_gettime(ClockId::Realtime);
    let it_value = Timespec { tv_sec: now.tv_sec.saturating_add(FAR), tv_nsec: 0 };
    let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
    let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    match rustix::time::timerfd_settime(timer.as_fd(), flags, &Itimerspec { it_interval, it_value }) {
        Ok(_) => Ok(false),
        Err(rustix::io::Errno::CANCELED) => Ok(true),
        Err(err) => Err(err.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_agree_with_the_standard_library() {
        let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let now = now();
        assert!(now.wall >= before && now.wall <= before + 2);
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        assert!((now.boot.0 as f64 / 1000.0 - uptime).abs() < 2.0);
        assert!(boot_seconds().abs_diff(now.boot.0 / 1000) <= 1);
    }

    #[test]
    fn the_boot_id_is_read_below_the_root() {
        let real = boot_id(Path::new("/")).unwrap();
        assert_eq!(real.len(), BOOT_ID_LEN);
        assert_eq!(boot_id(Path::new("/")), Some(real));
        assert_eq!(boot_id(Path::new("/nonexistent")), None);
    }
}
