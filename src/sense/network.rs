//! The WANs' addresses and routes, as the kernel tells them (rtnetlink). Devices go by name, so one that is deleted
//! and made anew is the same to us.
//!
//! Nothing is polled: the kernel multicasts every change. Where its word is not enough (at the start, after an overrun,
//! for routes at every change, see [`View::happened`]) it is asked for all it knows, one table after the other.

use crate::act::net::within;
use crate::config::{Device, Wan};
use crate::map::Map;
use crate::model::{Event, Mac, OwnAddr, WanSnapshot};
use crate::sense::filter;
use crate::sense::follow::{follow, Line, Names, Part};
use crate::sense::heard::{Answers, Heard};
use crate::sense::neighbours::Neighbours;
use crate::sense::netlink::Socket;
use crate::sense::view::{Table, Tables, View};
use crate::sense::Teller;
use crate::wire::rtnl::{self, kind, Header, Message};
use smol::channel::{Receiver, Sender};
use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Groups of the first socket.
const GROUPS: u32 = rtnl::GROUP_LINK
    | rtnl::GROUP_IPV4_IFADDR
    | rtnl::GROUP_IPV6_IFADDR
    | rtnl::GROUP_IPV4_ROUTE
    | rtnl::GROUP_IPV6_ROUTE;
/// While changes never cease, a snapshot is told after so many turns all the same.
const PATIENCE: u32 = 32;

/// Follows the network. All methods are for one thread; [`Network::run`] is to be running.
pub struct Network {
    line: Line,
    state: RefCell<State>,
    neighbours: Neighbours,
    ask_netifd: (Sender<()>, Receiver<()>),
    ask_at_once: (Sender<()>, Receiver<()>),
}

/// What was told, and what is to be asked.
#[derive(Default)]
struct State {
    view: View,
    wans: Vec<Wan>,
    stale: Tables,
    /// The kernel said what is not understood: to be asked again, but not at once, for it may say that again.
    garbled: bool,
    asking: Option<Asking>,
    synced: bool,
    rescan: bool,
    turns: u32,
    last: Option<(Map<String, WanSnapshot>, Vec<OwnAddr>)>,
    /// What netifd says of the WANs' interfaces.
    answers: Answers,
    /// The view's count of changes when netifd was last asked about them.
    asked_at: u64,
}

/// A dump under way.
struct Asking {
    table: Table,
    seq: u32,
    /// Its table changed meanwhile, or the kernel says that it did: to be asked for again.
    again: bool,
}

impl Network {
    /// Opens the sockets in the calling thread's network namespace.
    pub fn open() -> io::Result<Network> {
        let state = State { stale: Tables::ALL, ..State::default() };
        Ok(Network {
            line: Line::new(Socket::open(GROUPS, &filter::network())?),
            state: RefCell::new(state),
            neighbours: Neighbours::open()?,
            ask_netifd: smol::channel::bounded(1),
            ask_at_once: smol::channel::bounded(1),
        })
    }

    /// Sets the WANs to follow. [`Event::Network`] comes if that changes what there is to tell; where they name
    /// interfaces of netifd, not before those were asked for.
    pub fn set_wans(&self, wans: &[Wan]) {
        let mut state = self.state.borrow_mut();
        state.wans = wans.to_vec();
        let names = state.interfaces();
        state.answers.retain(|name, _| names.contains(name));
        let synced = state.synced;
        drop(state);
        if synced {
            self.want_interfaces();
        }
        self.line.wake();
    }

    /// Completes when netifd is to be asked, and says about which interfaces: at the start, after [`Network::set_wans`]
    /// and [`Network::rescan`], and when a device, an address or a default route of this machine came, went or changed.
    pub async fn interfaces_wanted(&self) -> Vec<String> {
        loop {
            // Never closed: both ends are here.
            let _ = self.ask_netifd.1.recv().await;
            let _ = self.ask_at_once.1.try_recv();
            let mut state = self.state.borrow_mut();
            state.asked_at = state.view.changes();
            let names = state.interfaces();
            if !names.is_empty() {
                return names;
            }
        }
    }

    /// Waits for this long before netifd is asked again, but not when somebody asks for a look.
    pub async fn rest_of_netifd(&self, pause: Duration) {
        let _ = within(Instant::now() + pause, self.ask_at_once.1.recv()).await;
    }

    /// What is known of an interface of netifd.
    pub fn heard(&self, name: &str) -> Option<Heard> {
        self.state.borrow().answers.get(name).cloned()
    }

    /// Sets what is known of an interface of netifd. [`Event::Network`] comes if that changes what there is to tell.
    pub fn set_heard(&self, name: &str, heard: Heard) {
        let mut state = self.state.borrow_mut();
        // A reload may have struck it out meanwhile.
        if state.interfaces().iter().any(|known| known == name) {
            state.answers.insert(name.to_string(), heard);
        }
        drop(state);
        self.line.wake();
    }

    fn want_interfaces(&self) {
        // Full means that netifd is to be asked already.
        let _ = self.ask_netifd.0.try_send(());
    }

    /// Sets whose neighbour-table entries are told: those with one of these hardware or network addresses. Of an entry
    /// that failed the kernel tells no hardware address, so the network addresses at which cameras are presumed belong
    /// in `ips` too. [`Event::Neighbours`] follows, unless nothing changed.
    pub fn set_cameras(&self, macs: &[Mac], ips: &[IpAddr]) -> io::Result<()> {
        self.neighbours.set_cameras(macs, ips)
    }

    /// Asks the kernel for everything anew, and netifd for its interfaces. [`Event::Network`] follows in any case, and [`Event::Neighbours`] where
    /// cameras are set.
    pub fn rescan(&self) {
        let mut state = self.state.borrow_mut();
        state.stale = Tables::ALL;
        state.rescan = true;
        drop(state);
        self.want_interfaces();
        let _ = self.ask_at_once.0.try_send(());
        self.neighbours.rescan();
        self.line.wake();
    }

    /// Sets the receive buffers' size in bytes, to provoke overruns in a test.
    #[doc(hidden)]
    pub fn set_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        self.line.socket.set_receive_buffer(bytes)?;
        self.neighbours.set_receive_buffer(bytes)
    }

    /// Tells [`Event::Network`], [`Event::Neighbours`] and [`Event::Neighbour`] until nobody listens any more.
    /// Fails only where a socket does.
    pub async fn run(&self, tell: Teller) -> io::Result<()> {
        smol::future::or(follow(self, &tell), follow(&self.neighbours, &tell)).await
    }
}

impl Part for Network {
    fn names(&self) -> Names {
        Names { listed: "network tables", told: "network events" }
    }

    fn line(&self) -> &Line {
        &self.line
    }

    fn ask_next(&self) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        if state.asking.is_some() || state.garbled {
            return Ok(());
        }
        let Some(table) = state.stale.take_first() else {
            return Ok(());
        };
        let asked = match table {
            Table::Links => self.line.socket.ask(kind::GETLINK, None),
            Table::Addrs => self.line.socket.ask(kind::GETADDR, None),
            Table::Routes(family) => self.line.socket.ask(kind::GETROUTE, Some(family)),
        };
        match asked {
            Ok(seq) => {
                state.view.begin(table);
                state.asking = Some(Asking { table, seq, again: false });
                Ok(())
            }
            Err(err) => {
                state.stale.add(table);
                Err(err)
            }
        }
    }

    fn was_garbled(&self) -> bool {
        std::mem::take(&mut self.state.borrow_mut().garbled)
    }

    fn take_in(&self, datagram: &[u8], now: u64) {
        let mut state = self.state.borrow_mut();
        for item in rtnl::messages(datagram) {
            match item {
                Ok((header, message)) => {
                    let asked =
                        state.asking.as_ref().is_some_and(|a| self.line.socket.answers(&header, a.seq));
                    state.message(header, message, asked, now);
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
        if self.state.borrow().changed_for_netifd() {
            self.want_interfaces();
        }
        let event = self.state.borrow_mut().event();
        event.is_none_or(|event| tell(event))
    }
}

impl State {
    /// Something was missed: all is to be asked for anew.
    fn lost(&mut self) {
        log::debug!("network events were lost; reading the tables anew");
        self.stale = Tables::ALL;
    }

    /// One message; `asked`: it answers the request under way.
    fn message(&mut self, header: Header, message: Message, asked: bool, now: u64) {
        if !asked {
            match message {
                Message::Overrun => self.lost(),
                Message::Done(_) | Message::Error(_) => {}
                message => self.change(message, now),
            }
            return;
        }
        let Some(asking) = &mut self.asking else { return };
        asking.again |= header.flags & rtnl::NLM_F_DUMP_INTR != 0;
        match message {
            Message::Done(code) | Message::Error(code) => self.dumped(code),
            message => self.view.dumped(asking.table, message, now),
        }
    }

    /// The kernel tells a change.
    fn change(&mut self, message: Message, now: u64) {
        let touches = |table| match (&message, table) {
            (Message::Link(_) | Message::LinkGone(_), Table::Links) => true,
            (Message::Addr(_) | Message::AddrGone(_), Table::Addrs) => true,
            (_, _) => false,
        };
        if let Some(asking) = &mut self.asking {
            // The dump may or may not have this change already; a second one has it.
            asking.again |= touches(asking.table);
        }
        let stale = self.view.happened(message, now);
        self.stale.merge(stale);
    }

    /// The dump under way has ended, with 0 or a negative errno.
    fn dumped(&mut self, code: i32) {
        let Some(Asking { table, again, .. }) = self.asking.take() else { return };
        if code == 0 {
            self.view.finish(table);
        } else {
            // No such family here (EOPNOTSUPP): there is nothing of it.
            log::debug!("the kernel listed a network table in part only (error {})", -code);
        }
        if again {
            self.stale.add(table);
        }
        self.synced |= self.stale.is_empty();
    }

    /// netifd's names of the WANs' interfaces, each once.
    fn interfaces(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for wan in &self.wans {
            let Device::Interfaces(of_wan) = &wan.device else { continue };
            for name in of_wan {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
        }
        names
    }

    /// Whether devices, addresses or routes changed since netifd was last asked. While a dump is under way more may
    /// follow.
    fn changed_for_netifd(&self) -> bool {
        self.synced && self.asking.is_none() && self.asked_at != self.view.changes()
    }

    /// Whether netifd was asked for every interface at least once. Before that a WAN would seem to be gone that is not.
    fn heard_all(&self) -> bool {
        self.interfaces().iter().all(|name| self.answers.contains_key(name))
    }

    /// What is to be told, if anything is, now.
    fn event(&mut self) -> Option<Event> {
        self.turns = self.turns.saturating_add(1);
        let settled = self.stale.is_empty() && self.asking.is_none();
        if !self.synced || !self.heard_all() || !(settled || self.turns > PATIENCE) {
            return None;
        }
        self.turns = 0;
        let empty = Map::new();
        let before = self.last.as_ref().map_or(&empty, |last| &last.0);
        let now = self.view.snapshot(&self.wans, &self.answers, before);
        let due = self.rescan && settled;
        if !due && self.last.as_ref() == Some(&now) {
            return None;
        }
        self.rescan &= !due;
        self.last = Some(now.clone());
        Some(Event::Network { wans: now.0, own: now.1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel that always answers what is not understood would keep the processor busy for ever.
    #[test]
    fn what_is_not_understood_is_asked_for_again_but_not_at_once() {
        let network = Network::open().unwrap();
        network.take_in(&[0xff; 16], 0);
        network.ask_next().unwrap();
        assert!(network.state.borrow().asking.is_none(), "asked at once");
        assert!(std::mem::take(&mut network.state.borrow_mut().garbled));
        network.ask_next().unwrap();
        assert!(network.state.borrow().asking.is_some(), "never asked again");
    }
}
