//! The LANs and who is there, as the kernel, netifd and the lease files know it at this moment: what the agent follows,
//! once.

use super::evidence::Devices;
use crate::config::{Config, Device, Wan};
use crate::model::{Event, Family, Mac, World};
use crate::paths::Paths;
use crate::plan::fold;
use crate::sense::netlink::{Received, Socket};
use crate::sense::network::Network;
use crate::sense::{clock, files, filter, netifd, Teller};
use crate::wire::rtnl::{self, kind, Message};
use smol::future::or;
use smol::Timer;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// The longest wait for all of it.
const LIMIT: Duration = Duration::from_millis(800);
/// So long it may take until what netifd said has been taken in.
const SETTLE: Duration = Duration::from_millis(50);
/// The most entries of the neighbour table that are taken.
const MAX_NEIGHBOURS: usize = 4096;

/// The WANs to keep out: those of the configuration. Where that has none, or netifd has to be asked which devices they
/// are and may not answer, also the device of the default route.
fn wans(config: &Config) -> Vec<Wan> {
    let mut wans = config.wans.clone();
    if wans.iter().all(|wan| interfaces(wan).is_some()) {
        let (families, accept) = (Family::BOTH.into(), Vec::new());
        wans.push(Wan::plain("", Device::Auto, families, accept));
    }
    wans
}

/// What is around: the router's addresses, its WANs, the leases.
pub async fn look(paths: &Paths, config: &Config) -> io::Result<World> {
    let network = Rc::new(Network::open()?);
    network.set_wans(&wans(config));
    let world = Rc::new(RefCell::new(World::default()));
    let told = Rc::new(Cell::new((false, false)));
    let (wake, woken) = smol::channel::bounded(1);
    let tell: Teller = Rc::new({
        let (world, told) = (world.clone(), told.clone());
        move |event| {
            let (network, leases) = told.get();
            let is_network = matches!(event, Event::Network { .. });
            told.set((network || is_network, leases || matches!(event, Event::Leases(_))));
            fold::event(&mut world.borrow_mut(), event, clock::now());
            let _ = wake.try_send(());
            true
        }
    });
    let asked: Vec<&String> = config.wans.iter().filter_map(interfaces).flatten().collect();
    let complete = async {
        while told.get() != (true, true) || !asked.iter().all(|name| network.heard(name).is_some()) {
            let _ = woken.recv().await;
        }
        if !asked.is_empty() {
            Timer::after(SETTLE).await;
        }
        Ok(())
    };
    let late = async {
        Timer::after(LIMIT).await;
        Ok(())
    };
    let kernel = or(network.run(tell.clone()), netifd::run(network.clone(), Path::new("ubus")));
    let sensors = or(kernel, files::run(files::Paths::usual(&paths.root), tell.clone()));
    or(or(complete, late), sensors).await?;
    let world = world.borrow().clone();
    Ok(world)
}

fn interfaces(wan: &Wan) -> Option<&Vec<String>> {
    match &wan.device {
        Device::Interfaces(names) => Some(names),
        _ => None,
    }
}

/// Takes in the kernel's neighbour table (IPv4).
pub async fn neighbours(devices: &mut Devices) -> io::Result<()> {
    let socket = Socket::open(0, &filter::network())?;
    let seq = socket.ask(kind::GETNEIGH, Some(Family::V4))?;
    let mut buffer = socket.buffer();
    let mut left = MAX_NEIGHBOURS;
    loop {
        match socket.receive(&mut buffer)? {
            Received::Nothing => socket.readable().await?,
            Received::Datagram => {
                for (header, message) in rtnl::messages(&buffer).flatten() {
                    match (socket.answers(&header, seq), message) {
                        (true, Message::Done(_) | Message::Error(_)) => return Ok(()),
                        (true, Message::Neigh(entry)) if left > 0 => {
                            left -= 1;
                            if let Some((addr, mac)) = known(entry) {
                                devices.neighbour(addr, mac);
                            }
                        }
                        _ => {}
                    }
                }
            }
            Received::Foreign => {}
            // Half a table is better than none.
            Received::Lost => return Ok(()),
        }
    }
}

fn known(entry: rtnl::Neigh) -> Option<(Ipv4Addr, Mac)> {
    match (entry.addr, entry.seen) {
        (IpAddr::V4(addr), Some(seen)) => Some((addr, seen.mac)),
        _ => None,
    }
}
