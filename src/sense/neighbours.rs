//! The cameras' entries of the kernel's neighbour table, on a socket of their own: its filter lets nothing else
//! through, so a chatty LAN does not wake the agent. Without cameras it hears nothing at all.

use crate::map::Map;
use crate::model::{Event, Mac, Sighting};
use crate::sense::filter;
use crate::sense::follow::{Line, Names, Part};
use crate::sense::netlink::Socket;
use crate::sense::Teller;
use crate::wire::rtnl::{self, kind, Header, Message, Neigh};
use std::cell::RefCell;
use std::io;
use std::net::IpAddr;

/// The most entries that are told of one dump.
const MAX_ENTRIES: usize = 1024;
/// The most events that wait to be told; with more the table is read anew instead.
const MAX_QUEUED: usize = 256;
/// The second half of [`crate::sense::network::Network`], which tells [`Event::Neighbours`] and [`Event::Neighbour`].
pub struct Neighbours {
    line: Line,
    state: RefCell<State>,
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
        Ok(Neighbours { line: Line::new(socket), state: RefCell::default() })
    }

    /// See [`crate::sense::network::Network::set_cameras`].
    pub fn set_cameras(&self, macs: &[Mac], ips: &[IpAddr]) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        if state.macs == macs && state.ips == ips {
            return Ok(());
        }
        // The filter first, then the dump: nothing can be missed in between.
        self.line.socket.filter(&filter::neighbours(macs, ips))?;
        let none = macs.is_empty() && ips.is_empty();
        self.line.socket.join(if none { 0 } else { rtnl::GROUP_NEIGH })?;
        state.macs = macs.to_vec();
        state.ips = ips.to_vec();
        state.events.clear();
        state.due = true;
        drop(state);
        self.line.wake();
        Ok(())
    }

    /// Reads the table anew, where cameras are set.
    pub fn rescan(&self) {
        let mut state = self.state.borrow_mut();
        state.due |= !state.nobody();
        drop(state);
        self.line.wake();
    }

    /// Sets the receive buffer's size in bytes.
    pub fn set_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        self.line.socket.set_receive_buffer(bytes)
    }
}

impl Part for Neighbours {
    fn names(&self) -> Names {
        Names { listed: "neighbours", told: "neighbours" }
    }

    fn line(&self) -> &Line {
        &self.line
    }

    fn ask_next(&self) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        if !state.due || state.asking.is_some() || state.garbled {
            return Ok(());
        }
        if state.nobody() {
            state.events.push(Event::Neighbours(Vec::new()));
        } else {
            state.asking = Some(self.line.socket.ask(kind::GETNEIGH, None)?);
            state.found.clear();
        }
        state.due = false;
        state.again = false;
        Ok(())
    }

    fn was_garbled(&self) -> bool {
        std::mem::take(&mut self.state.borrow_mut().garbled)
    }

    fn take_in(&self, datagram: &[u8], _now: u64) {
        let mut state = self.state.borrow_mut();
        for item in rtnl::messages(datagram) {
            match item {
                Ok((header, message)) => {
                    let asked = state.asking.is_some_and(|seq| self.line.socket.answers(&header, seq));
                    state.message(header, message, asked);
                }
                Err(rtnl::Malformed) => {
                    state.lost();
                    state.garbled = true;
                }
            }
        }
    }

    fn lost(&self) {
        self.state.borrow_mut().lost();
    }

    fn tell(&self, tell: &Teller) -> bool {
        let events = std::mem::take(&mut self.state.borrow_mut().events);
        events.into_iter().all(|event| tell(event))
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
