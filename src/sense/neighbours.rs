//! The cameras' entries of the kernel's neighbour table, on a socket of their own: its filter lets nothing else
//! through, so a chatty LAN does not wake the agent. Without cameras it hears nothing at all.

use crate::map::Map;
use crate::model::{Event, Mac, Sighting};
use crate::sense::filter;
use crate::sense::netlink::{Received, Socket};
use crate::sense::network::REFUSED_PAUSE;
use crate::sense::Teller;
use crate::wire::rtnl::{self, kind, Header, Message, Neigh};
use smol::channel::{Receiver, Sender};
use std::cell::RefCell;
use std::io;
use std::net::IpAddr;

/// The most entries that are told of one dump.
const MAX_ENTRIES: usize = 1024;
/// The most events that wait to be told; with more the table is read anew instead.
const MAX_QUEUED: usize = 256;
/// Datagrams taken in one go before others get their turn.
const BURST: usize = 64;

/// The second half of [`crate::sense::network::Network`].
pub struct Neighbours {
    socket: Socket,
    state: RefCell<State>,
    wake: (Sender<()>, Receiver<()>),
}

#[derive(Default)]
struct State {
    macs: Vec<Mac>,
    ips: Vec<IpAddr>,
    due: bool,
    asking: Option<u32>,
    again: bool,
    /// The kernel said what is not understood: to be asked again, but not at once.
    garbled: bool,
    found: Map<IpAddr, Sighting>,
    events: Vec<Event>,
}

impl Neighbours {
    /// Opens the socket; it hears nothing until cameras are set.
    pub fn open() -> io::Result<Neighbours> {
        let socket = Socket::open(0, &filter::neighbours(&[], &[]))?;
        Ok(Neighbours { socket, state: RefCell::default(), wake: smol::channel::bounded(1) })
    }

    /// See [`crate::sense::network::Network::set_cameras`].
    pub fn set_cameras(&self, macs: &[Mac], ips: &[IpAddr]) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        if state.macs == macs && state.ips == ips {
            return Ok(());
        }
        // The filter first, then the dump: nothing can be missed in between.
        self.socket.filter(&filter::neighbours(macs, ips))?;
        let none = macs.is_empty() && ips.is_empty();
        self.socket.join(if none { 0 } else { rtnl::GROUP_NEIGH })?;
        state.macs = macs.to_vec();
        state.ips = ips.to_vec();
        state.events.clear();
        state.due = true;
        drop(state);
        self.wake();
        Ok(())
    }

    /// Reads the table anew, where cameras are set.
    pub fn rescan(&self) {
        let mut state = self.state.borrow_mut();
        state.due |= !state.nobody();
        drop(state);
        self.wake();
    }

    /// Sets the receive buffer's size in bytes.
    pub fn set_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        self.socket.set_receive_buffer(bytes)
    }

    /// Tells [`Event::Neighbours`] and [`Event::Neighbour`] until nobody listens any more.
    pub async fn follow(&self, tell: &Teller) -> io::Result<()> {
        let mut refused = false;
        loop {
            if let Err(err) = self.ask_next() {
                // Once: it is asked every second.
                let level =
                    if std::mem::replace(&mut refused, true) { log::Level::Debug } else { log::Level::Warn };
                log::log!(
                    level,
                    "the kernel refused to list its neighbours ({err}); asking again in a second"
                );
                smol::Timer::after(REFUSED_PAUSE).await;
                continue;
            }
            refused = false;
            if std::mem::take(&mut self.state.borrow_mut().garbled) {
                log::debug!("the kernel's neighbours are not understood; asking again in a second");
                smol::Timer::after(REFUSED_PAUSE).await;
                continue;
            }
            let events = std::mem::take(&mut self.state.borrow_mut().events);
            for event in events {
                if !tell(event) {
                    return Ok(());
                }
            }
            if self.socket.readable_or(&self.wake.1).await? {
                self.receive()?;
            }
        }
    }

    fn ask_next(&self) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        if !state.due || state.asking.is_some() || state.garbled {
            return Ok(());
        }
        if state.nobody() {
            state.events.push(Event::Neighbours(Vec::new()));
        } else {
            state.asking = Some(self.socket.ask(kind::GETNEIGH, None)?);
            state.found.clear();
        }
        state.due = false;
        state.again = false;
        Ok(())
    }

    fn receive(&self) -> io::Result<()> {
        let mut buffer = self.socket.buffer();
        for _ in 0..BURST {
            match self.socket.receive(&mut buffer)? {
                Received::Nothing => return Ok(()),
                Received::Foreign => {}
                Received::Lost => self.state.borrow_mut().lost(),
                Received::Datagram => self.take_in(&buffer),
            }
            // A refusal is met again, and told, by the caller's own attempt.
            let _ = self.ask_next();
        }
        Ok(())
    }

    fn take_in(&self, datagram: &[u8]) {
        let mut state = self.state.borrow_mut();
        for item in rtnl::messages(datagram) {
            match item {
                Ok((header, message)) => {
                    let asked = state.asking.is_some_and(|seq| self.socket.answers(&header, seq));
                    state.message(header, message, asked);
                }
                Err(rtnl::Malformed) => {
                    state.lost();
                    state.garbled = true;
                }
            }
        }
    }

    fn wake(&self) {
        // Full means that it is to wake already.
        let _ = self.wake.0.try_send(());
    }
}

impl State {
    fn nobody(&self) -> bool {
        self.macs.is_empty() && self.ips.is_empty()
    }

    /// Something was missed.
    fn lost(&mut self) {
        log::debug!("neighbour events were lost; reading the table anew");
        self.events.clear();
        self.due = !self.nobody();
    }

    fn message(&mut self, header: Header, message: Message, asked: bool) {
        self.again |= asked && header.flags & rtnl::NLM_F_DUMP_INTR != 0;
        match message {
            Message::Neigh(neigh) if asked => self.find(neigh),
            Message::Done(_) | Message::Error(_) if asked => self.dumped(),
            Message::Neigh(neigh) => self.change(&neigh, neigh.seen),
            Message::NeighGone(neigh) => self.change(&neigh, None),
            Message::Overrun => self.lost(),
            _ => {}
        }
    }

    /// Whether an entry is a camera's, by either address. The filter says so too, but not of dumps, of what was queued
    /// before it changed, and of more cameras than it takes.
    fn concerns(&self, neigh: &Neigh) -> bool {
        self.ips.contains(&neigh.addr) || neigh.seen.is_some_and(|seen| self.macs.contains(&seen.mac))
    }

    fn find(&mut self, neigh: Neigh) {
        if let (true, Some(entry)) = (self.concerns(&neigh), neigh.seen) {
            let fresh_before = self.found.get(&neigh.addr).is_some_and(|seen| seen.confirmed.is_some());
            if self.found.len() < MAX_ENTRIES && !fresh_before {
                self.found.insert(neigh.addr, entry);
            }
        }
    }

    fn dumped(&mut self) {
        self.asking = None;
        self.due |= self.again;
        if self.due {
            return; // the next one tells
        }
        let found = std::mem::take(&mut self.found);
        self.events.push(Event::Neighbours(found.into_iter().collect()));
    }

    /// The kernel tells a change.
    fn change(&mut self, neigh: &Neigh, seen: Option<Sighting>) {
        if !self.concerns(neigh) {
            return;
        }
        if self.asking.is_some() || self.due {
            self.again = true; // the dump may or may not have it; another one has
        } else if self.events.len() < MAX_QUEUED {
            self.events.push(Event::Neighbour(neigh.addr, seen));
        } else {
            self.lost();
        }
    }
}
