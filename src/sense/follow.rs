//! How a part of what the kernel tells is followed, whatever part it is: asked for in full where that is due, and then
//! heard of change by change.

use super::clock::boot_seconds;
use super::netlink::{Received, Socket};
use super::Teller;
use smol::channel::{Receiver, Sender};
use std::io;
use std::time::Duration;

/// Datagrams taken in one go before others get their turn.
const BURST: usize = 64;
/// When the kernel refuses a request (it is out of memory), or says what is not understood, it is asked again after this.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// A part that is followed.
pub(super) trait Part {
    /// What it is called.
    fn names(&self) -> Names;

    /// Where the kernel tells of it.
    fn line(&self) -> &Line;

    /// Asks for all of it, where that is due and no answer is under way.
    fn ask_next(&self) -> io::Result<()>;

    /// Whether the kernel said what is not understood, since this was last called.
    fn was_garbled(&self) -> bool;

    /// Takes in a datagram of the kernel's. `now`: seconds since boot.
    fn take_in(&self, datagram: &[u8], now: u64);

    /// Something was missed: all is to be asked for anew.
    fn lost(&self);

    /// Tells what there is to tell. False: nobody listens any more.
    fn tell(&self, tell: &Teller) -> bool;
}

/// What a part is called, in words that follow "the kernel's".
pub(super) struct Names {
    /// All of it.
    pub(super) listed: &'static str,
    /// Its changes.
    pub(super) told: &'static str,
}

/// A socket, and a way to wake who waits at it.
pub(super) struct Line {
    pub(super) socket: Socket,
    wake: (Sender<()>, Receiver<()>),
}

impl Line {
    /// At this socket.
    pub(super) fn new(socket: Socket) -> Line {
        Line { socket, wake: smol::channel::bounded(1) }
    }

    /// Has the follower look what there is to ask and to tell.
    pub(super) fn wake(&self) {
        // Full means that it is to wake already.
        let _ = self.wake.0.try_send(());
    }
}

/// Follows it until nobody listens any more. Fails only where the socket does.
pub(super) async fn follow(part: &dyn Part, tell: &Teller) -> io::Result<()> {
    let line = part.line();
    let mut refused = false;
    loop {
        if !ask(part, &mut refused) {
            smol::Timer::after(REFUSED_PAUSE).await;
            continue;
        }
        if !part.tell(tell) {
            return Ok(());
        }
        if line.socket.readable_or(&line.wake.1).await? {
            receive(part)?;
        }
    }
}

/// False: it is to be asked again, but not at once. `refused`: so it was the last time, too.
fn ask(part: &dyn Part, refused: &mut bool) -> bool {
    let names = part.names();
    if let Err(err) = part.ask_next() {
        // Once: it is asked every second.
        let level = if std::mem::replace(refused, true) { log::Level::Debug } else { log::Level::Warn };
        log::log!(level, "the kernel refused to list its {} ({err}); asking again in a second", names.listed);
        return false;
    }
    *refused = false;
    let garbled = part.was_garbled();
    if garbled {
        log::debug!("the kernel's {} are not understood; asking again in a second", names.told);
    }
    !garbled
}

/// Takes in what is queued. The answer to a request is queued as soon as it is asked, hence the loop through all of them
/// here instead of one turn each.
fn receive(part: &dyn Part) -> io::Result<()> {
    let socket = &part.line().socket;
    let mut buffer = socket.buffer();
    let now = boot_seconds();
    for _ in 0..BURST {
        match socket.receive(&mut buffer)? {
            Received::Nothing => return Ok(()),
            Received::Foreign => {}
            Received::Lost => part.lost(),
            Received::Datagram => part.take_in(&buffer, now),
        }
        // A refusal is met again, and told, by the caller's own attempt.
        let _ = part.ask_next();
    }
    Ok(())
}
