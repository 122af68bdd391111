//! The LANs and who is there, as the kernel, netifd and the lease files know it at this moment: what the agent follows,
//! once.

use super::evidence::Devices;
use crate::act::net::within;
use crate::config::{Config, Device, Wan};
use crate::model::{Event, Family, Mac, World};
use crate::paths::Paths;
use crate::plan::fold;
use crate::sense::netlink::dump;
use crate::sense::network::Network;
use crate::sense::{clock, files, netifd, Teller};
use crate::wire::rtnl::{self, kind, Message};
use smol::future::or;
use smol::Timer;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The longest wait for all of it.
const LIMIT: Duration = Duration::from_millis(800);
/// So long it may take until what netifd said has been taken in.
const SETTLE: Duration = Duration::from_millis(50);

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

/// What is around: the router's addresses, its WANs, the leases; and who of these is among the neighbours, by hardware
/// and by network address.
pub async fn look(paths: &Paths, config: &Config, cameras: (&[Mac], &[IpAddr])) -> io::Result<World> {
    let network = Rc::new(Network::open()?);
    network.set_wans(&wans(config));
    network.set_cameras(cameras.0, cameras.1)?;
    let alone = cameras.0.is_empty() && cameras.1.is_empty();
    let world = Rc::new(RefCell::new(World::default()));
    let told = Rc::new(Cell::new((false, false, alone)));
    let (wake, woken) = smol::channel::bounded(1);
    let tell: Teller = Rc::new({
        let (world, told) = (world.clone(), told.clone());
        move |event| {
            let (network, leases, neighbours) = told.get();
            let is_network = matches!(event, Event::Network { .. });
            let is_neighbours = matches!(event, Event::Neighbours(_));
            let is_leases = matches!(event, Event::Leases(_));
            told.set((network || is_network, leases || is_leases, neighbours || is_neighbours));
            fold::event(&mut world.borrow_mut(), event, clock::now());
            let _ = wake.try_send(());
            true
        }
    });
    let asked: Vec<&String> = config.wans.iter().filter_map(interfaces).flatten().collect();
    let complete = async {
        while told.get() != (true, true, true) || !asked.iter().all(|name| network.heard(name).is_some()) {
            let _ = woken.recv().await;
        }
        if !asked.is_empty() {
            Timer::after(SETTLE).await;
        }
        Ok(())
    };
    let kernel = or(network.run(tell.clone()), netifd::run(network.clone(), Path::new("ubus")));
    let sensors = or(kernel, files::run(files::Paths::usual(&paths.root), tell.clone()));
    within(Instant::now() + LIMIT, or(complete, sensors)).await.transpose()?;
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
    let mut take = |message| {
        if let Message::Neigh(entry) = message {
            known(entry).into_iter().for_each(|(addr, mac)| devices.neighbour(addr, mac));
        }
    };
    dump(kind::GETNEIGH, Some(Family::V4), &mut take).await
}

fn known(entry: rtnl::Neigh) -> Option<(Ipv4Addr, Mac)> {
    match (entry.addr, entry.seen) {
        (IpAddr::V4(addr), Some(seen)) => Some((addr, seen.mac)),
        _ => None,
    }
}
