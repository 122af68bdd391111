//! What the status document says of the WANs.

use super::View;
use crate::config::{Network, Wan};
use crate::model::{Delegated, Family, Interface, Reach, Reading, WanWorld};
use crate::plan::reach::reach;
use crate::plan::upstream::{self, UpstreamState};
use crate::plan::witness::{self, standing, Hearing, Outcome};
use crate::wire::json::{array, Object};
use std::net::IpAddr;

/// The reach of a WAN whose router above us lets in what we ask for.
const ONE_NAT: &str = "behind one NAT that we can talk to";

impl View<'_> {
    pub(super) fn wan(&self, wan: &Wan) -> String {
        let none = WanWorld::default();
        let sensed = self.world.wans.get(&wan.name).unwrap_or(&none);
        let line = |family: Family| {
            let line = sensed.line(family);
            let on_lan = self.lan_of_prefix(sensed, line.addr.seen());
            let object = Object::new().bool("route", line.route).maybe("on_lan", on_lan);
            match line.addr {
                Reading::Seen { value, at } => {
                    let object = object.shown("address", &value);
                    self.reach(wan, family, value, object).num("since_s", self.ago(at))
                }
                Reading::Lost { since } => object.str("reach", "offline").num("lost_s", self.ago(since)),
                Reading::Never => object.str("reach", "offline"),
            }
            .end()
        };
        let (device, device6) = (sensed.device.as_deref(), sensed.device6.as_deref());
        let mut object = Object::new().str("name", &wan.name).maybe("device", device);
        object = object.maybe("device6", device6.filter(|_| device6 != device));
        for family in &wan.families {
            object = object.raw(if *family == Family::V4 { "ipv4" } else { "ipv6" }, &line(*family));
        }
        if let Some(above) = self.above(wan) {
            object = object.raw("upstream", &above);
        }
        if !sensed.interfaces.is_empty() {
            object = object
                .raw("interfaces", &array(sensed.interfaces.iter().map(interface)))
                .raw("prefixes", &array(sensed.prefixes.iter().map(delegated)));
        }
        object.end()
    }

    /// How a line is reached, how that is known, what it means, and what witnesses said.
    fn reach(&self, wan: &Wan, family: Family, addr: IpAddr, object: Object) -> Object {
        let found = standing(self.world, self.state, wan, family);
        let Some(_) = found.own else { return object.shown("reach", &reach(addr, &wan.accept)) };
        let above = witness::outside(self.world, self.state, wan).filter(|_| family == Family::V4);
        if above.is_some() && found.reach != Reach::Public {
            return object.str("reach", ONE_NAT);
        }
        let text = match found.known {
            witness::Known::Mismatch => "behind NAT, though its address looks public".to_string(),
            _ => found.reach.to_string(),
        };
        let mut object = object.str("reach", &text).str("known_by", found.known.word());
        if let Some(seen) = found.seen {
            object = object.shown("seen_as", &seen);
        }
        let means = found.means(family, witness::has_public_v6(self.world, self.state, wan));
        let means = means.filter(|_| witness::is_wanted(self.config, wan, family));
        object = object.maybe("means", means.as_deref());
        match witness::heard(self.world, self.state, wan, family) {
            Some(memory) => self.heard(memory, object),
            None => object,
        }
    }

    /// What the last round of questions brought.
    fn heard(&self, memory: &Hearing, object: Object) -> Object {
        let vote = |vote: &witness::Vote| {
            Object::new().str("witness", &vote.operator).shown("says", &vote.addr).end()
        };
        let fault = |(operator, why): &(String, String)| {
            Object::new().str("witness", operator).str("failure", why).end()
        };
        let said = memory.votes.iter().map(vote).chain(memory.faults.iter().map(fault));
        let object = object.raw("witnesses", &array(said));
        match memory.last {
            Outcome::Doubt if !memory.running => object.str("doubt", &memory.doubt()),
            Outcome::Silence if !memory.running => object.str("doubt", "no witness could be heard"),
            _ => object,
        }
    }

    /// What is known of the router that is above a WAN now.
    pub(super) fn router_above(&self, wan: &Wan) -> Option<&UpstreamState> {
        let memory = self.state.upstream.get(&wan.name)?;
        let (place, sensed) = (memory.place?, self.world.wans.get(&wan.name)?);
        let same = sensed.gateway == Some(place.gateway) && sensed.v4.addr.seen() == Some(place.local.into());
        same.then_some(memory)
    }

    /// The router above a WAN.
    fn above(&self, wan: &Wan) -> Option<String> {
        let memory = self.router_above(wan)?;
        let (well, says) = upstream::sentence(memory, wan)?;
        let well = well && standing(self.world, self.state, wan, Family::V4).refuted.is_none();
        let mut object = Object::new().shown("gateway", &memory.place?.gateway);
        if let Some(way) = memory.way {
            object = object.shown("way", &way);
        }
        if let Some(addr) = memory.external {
            object = object.shown("address", &addr);
        }
        Some(object.bool("well", well).str("says", &says).end())
    }

    /// Where an address is that the WAN itself does not have: on a LAN, out of a prefix that was delegated to the WAN.
    fn lan_of_prefix(&self, wan: &WanWorld, addr: Option<IpAddr>) -> Option<&str> {
        let addr = addr?;
        wan.prefixes.iter().find(|given| given.prefix.contains(addr))?;
        let mut carriers =
            self.world.own.iter().filter(|own| own.addr == addr).map(|own| own.device.as_str());
        carriers.next().filter(|device| wan.device6.as_deref() != Some(device))
    }
}

fn interface(interface: &Interface) -> String {
    let object = Object::new().str("name", &interface.name).maybe("device", interface.device.as_deref());
    object.str("standing", &interface.standing).bool("trouble", interface.trouble).end()
}

fn delegated(given: &Delegated) -> String {
    let part =
        |(name, part): &(String, Network)| Object::new().str("interface", name).shown("prefix", part).end();
    Object::new()
        .shown("prefix", &given.prefix)
        .str("interface", &given.interface)
        .raw("assigned", &array(given.assigned.iter().map(part)))
        .end()
}
