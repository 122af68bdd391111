//! A device that takes the camera's address and leaves it, again and again, behind OpenWrt's firewall: closed each time
//! in that instant, and the firewall reloads at most four times in any five minutes. A fake clock, no sleeping.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "common/configuration.rs"]
mod configuration;

use configuration::config;
use porchlight::config::Config;
use porchlight::model::*;
use porchlight::plan::{camera, fold, plan, settle, Action, Carried, Rule};
use porchlight::state::State;
use proptest::prelude::*;
use std::net::IpAddr;
use std::time::Duration;

/// procd's second, and what fw4 takes on a slow router.
const RELOAD: u64 = 4000;
/// A change of our own table.
const BAR: u64 = 60;
const WINDOW: u64 = 300_000;
const MINUTE: u64 = 60_000;

/// Cameras with one mapping each, on fw4.
struct Home {
    config: Config,
    world: World,
    state: State,
    now: u64,
    /// The change of the packet filter that is under way, whether the firewall reloads for it, and when it ends.
    flying: Option<(Action, bool, u64)>,
    wake_at: Option<Time>,
    /// What fw4 was last told.
    told: Vec<Rule>,
    /// When it was made to reload.
    reloads: Vec<u64>,
    opened: u32,
    closed: u32,
}

fn addr(camera: u8) -> IpAddr {
    [192, 168, 1, 20 + camera].into()
}

impl Home {
    fn new(cameras: u8) -> Home {
        let mut text = String::from("config wan 'wan'\n\toption device 'wan0'\n");
        for n in 0..cameras {
            text += &format!(
                "config camera 'c{n}'\n\tlist mac '02:00:00:00:00:{n:02x}'\nconfig mapping 'm{n}'\n\toption camera 'c{n}'\n\
                 \toption src_dport '{}'\n\toption allow_open '1'\n",
                8000 + u32::from(n)
            );
        }
        let lan = OwnAddr { device: "lan0".into(), addr: [192, 168, 1, 1].into(), prefix: 24, settled: true };
        let lease = |n| Lease { expiry: 0, mac: Mac([2, 0, 0, 0, 0, n]), addr: addr(n), name: None };
        let leases = (0..cameras).map(lease).collect();
        let world =
            World { complete: true, fw4: true, procd: true, own: vec![lan], leases, ..World::default() };
        let mut home = Home {
            config: config(&text),
            world,
            state: State::default(),
            now: 1000,
            flying: None,
            wake_at: None,
            told: Vec::new(),
            reloads: Vec::new(),
            opened: 0,
            closed: 0,
        };
        assert_eq!(home.config.mappings.len(), usize::from(cameras));
        home.decide();
        home
    }

    fn clock(&self) -> Now {
        Now { boot: Time(self.now), wall: 1_800_000_000 + self.now / 1000 }
    }

    fn decide(&mut self) {
        let now = self.clock();
        camera::observe(&self.config, &self.world, &mut self.state, now.boot);
        let plan = plan(&self.config, &self.world, &self.state, now);
        self.wake_at = plan.wake_at;
        for action in plan.actions {
            settle::begin(&mut self.state, &action, now);
            let Action::Map(job) = &action else { panic!("{action:?}") };
            self.opened += u32::from(job.reload && job.rules.len() > self.told.len());
            self.closed += u32::from(!job.reload);
            // A change that overtakes another ends it: the firewall may have been told all the same.
            let reloads = job.reload && job.rules != self.told;
            if reloads {
                self.told.clone_from(&job.rules);
                self.reloads.push(self.now);
            }
            let took = if reloads { RELOAD } else { BAR };
            self.flying = Some((action, reloads, self.now + took));
        }
    }

    /// Lets time pass until then.
    fn run(&mut self, until: u64) {
        loop {
            let done = self.flying.as_ref().map_or(u64::MAX, |(.., at)| *at);
            // A moment is over: what was to be done then has been planned.
            let wake = self.wake_at.map_or(u64::MAX, |at| at.0.max(self.now + 1));
            let next = done.min(wake);
            if next > until {
                break;
            }
            self.now = next;
            if let Some((Action::Map(job), reloaded, _)) = self.flying.take_if(|(.., at)| *at <= next) {
                let carried = Carried { reloaded, ..Carried::default() };
                settle::mapped(&mut self.state, &job, Ok(carried), Time(next));
            }
            self.decide();
        }
        self.now = until;
    }

    /// Who is at a camera's address, as the kernel says.
    fn holds(&mut self, camera: u8, intruder: bool) {
        let mac = Mac([2, 0, 0, u8::from(intruder), 0, camera]);
        let entry = Sighting { mac, confirmed: Some(Duration::ZERO) };
        let now = self.clock();
        fold::event(&mut self.world, Event::Neighbour(addr(camera), Some(entry)), now);
        self.decide();
        let open = self.state.mapping.tried.iter().any(|rule| rule.target == addr(camera));
        assert!(!intruder || !open, "at {} ms another device has the port", self.now);
    }

    fn is_open(&self) -> bool {
        self.flying.is_none() && !self.state.mapping.applied.as_ref().unwrap().is_empty()
    }

    fn most_in_a_window(&self) -> usize {
        let from =
            |start: &u64| self.reloads.iter().filter(|at| (*start..start + WINDOW).contains(at)).count();
        self.reloads.iter().map(from).max().unwrap_or_default()
    }
}

#[test]
fn for_ten_minutes_every_few_seconds() {
    for (on, off) in [(300, 300), (1000, 2000), (2000, 5000), (3000, 9900), (1000, 10_100), (1000, 20_500)] {
        let mut home = Home::new(1);
        home.run(20_000);
        assert!(home.is_open());
        while home.now < 20_000 + 10 * MINUTE {
            home.holds(0, true);
            home.run(home.now + on);
            home.holds(0, false);
            home.run(home.now + off);
        }
        assert!(home.closed > 0);
        assert!(home.most_in_a_window() <= 4, "{on} ms on, {off} ms off: {:?}", home.reloads);
        // It ends, and the camera is reachable again once it was quiet.
        home.run(home.now + 11 * MINUTE);
        assert!(home.is_open(), "{on} ms on, {off} ms off");
        assert!(home.most_in_a_window() <= 4, "{on} ms on, {off} ms off: {:?}", home.reloads);
    }
}

/// The worst that one device can do: it comes back in the moment in which the mapping is open again.
#[test]
fn each_time_that_it_opens() {
    let mut home = Home::new(1);
    let mut times = 0;
    while home.now < 600 * MINUTE {
        if home.is_open() {
            times += 1;
            home.holds(0, true);
            home.run(home.now + 500);
            home.holds(0, false);
        }
        home.run(home.now + 100);
    }
    assert!((30..70).contains(&times), "every ten minutes in the end, but {times} times");
    assert!(home.most_in_a_window() <= 4, "{:?}", home.reloads);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Three cameras, each with a device of its own that comes and goes as it likes, for hours.
    #[test]
    fn several_at_once(steps in prop::collection::vec((0u8..3, any::<bool>(), 1u64..40_000), 400)) {
        let mut home = Home::new(3);
        for (camera, intruder, wait) in steps {
            home.holds(camera, intruder);
            home.run(home.now + wait);
        }
        prop_assert!(home.closed > 0 && home.opened > 0);
        prop_assert!(home.most_in_a_window() <= 4, "{:?}", home.reloads);
    }
}
