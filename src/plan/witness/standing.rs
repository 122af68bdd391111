//! How a WAN can be reached: what its interface says, and what witnesses and the router above us say of it.

use super::{believes_interface, key, Hearing, Outcome};
use crate::config::{IpSource, Wan};
use crate::model::{Family, Reach, World};
use crate::plan::reach::reach;
use crate::plan::upstream;
use crate::state::State;
use std::net::IpAddr;

/// How a reach is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// By the interface's address.
    Interface,
    /// Witnesses confirm it, or say which address the internet sees.
    Witnesses,
    /// The interface's address looks public, but witnesses agree that the internet sees another.
    Mismatch,
}

impl Known {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Known::Interface => "interface",
            Known::Witnesses => "witnesses",
            Known::Mismatch => "mismatch",
        }
    }
}

/// How one family of a WAN can be reached, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How.
    pub reach: Reach,
    /// By whom.
    pub known: Known,
    /// The interface's address, while there is a route.
    pub own: Option<IpAddr>,
    /// The address that the internet sees, as witnesses agree.
    pub seen: Option<IpAddr>,
    /// The router above us says that it has this one, and that is not what the internet sees.
    pub refuted: Option<IpAddr>,
}

impl Standing {
    /// What it means for the camera and what can be done, in plain words; `None` if nothing has to be.
    pub fn means(&self, family: Family, v6_is_public: bool) -> Option<String> {
        let own = self.own?;
        let seen = self.seen.map_or(String::new(), |seen| format!(", and the internet sees {seen}"));
        Some(match (self.reach, self.known) {
            (Reach::Nat, Known::Mismatch) => format!(
                "the interface has {own}, but the internet sees {}: something in front of this router translates \
                 addresses, so nobody reaches the camera by {family} unless that forwards its port; ask the provider \
                 for a public address of your own",
                self.seen?
            ),
            (Reach::Nat, _) if self.refuted.is_some() => format!(
                "{own} is a private address: the router in front of this one says that it has {}, but the internet sees \
                 {}: there is another NAT in front of that one, so nobody reaches the camera by {family} unless that \
                 forwards its port too; ask the provider for a public address of your own",
                self.refuted?,
                self.seen?
            ),
            (Reach::Nat, _) => format!(
                "{own} is a private address: another router stands in front of this one{seen}; the camera is reached \
                 only if that router forwards its port to {own}, or works as a bridge"
            ),
            (Reach::Cgnat, _) => {
                let way = match v6_is_public {
                    true => "IPv6 is the way in here: use an IPv6 record and mapping",
                    false => "use a tunnel (config tunnel), or ask the provider for a public address or for IPv6",
                };
                format!(
                    "{own} is behind carrier-grade NAT{seen}: many homes share one address, so nobody reaches the \
                     camera by {family}, and no address is published; {way}"
                )
            }
            _ => return None,
        })
    }
}

/// Device and address that witnesses are asked about: the address has a route.
pub(super) fn subject(world: &World, wan: &Wan, family: Family) -> Option<(String, IpAddr)> {
    let sensed = world.wans.get(&wan.name)?;
    let line = sensed.line(family);
    let device = match family {
        Family::V4 => sensed.device.as_ref(),
        Family::V6 => sensed.device6.as_ref().or(sensed.device.as_ref()),
    };
    let addr = line.addr.seen().filter(|_| line.route)?;
    Some((device?.clone(), addr))
}

/// What is known of a line, if it is about what the line is now.
pub fn heard<'a>(world: &World, state: &'a State, wan: &Wan, family: Family) -> Option<&'a Hearing> {
    let about = subject(world, wan, family)?;
    state.hearings.lines.get(&key(wan, family)).filter(|memory| memory.about.as_ref() == Some(&about))
}

/// How one family of a WAN can be reached.
pub fn standing(world: &World, state: &State, wan: &Wan, family: Family) -> Standing {
    let (known, none) = (Known::Interface, None);
    let mut standing = Standing { reach: Reach::Offline, known, own: none, seen: none, refuted: none };
    let Some((_, own)) = subject(world, wan, family) else { return standing };
    let memory = heard(world, state, wan, family);
    (standing.own, standing.seen) = (Some(own), memory.and_then(|memory| memory.agreed));
    standing.reach = reach(own, &wan.accept);
    let above = above(world, wan, family);
    standing.refuted = above.filter(|above| memory.is_some_and(|memory| memory.refutes(*above)));
    match standing.seen {
        Some(seen) if standing.reach == Reach::Public && seen != own => {
            (standing.reach, standing.known) = (Reach::Nat, Known::Mismatch);
        }
        Some(_) => standing.known = Known::Witnesses,
        // The interface is believed in its turn.
        None => {
            let first = wan.sources.first() == Some(&IpSource::Interface);
            let last_resort =
                believes_interface(wan) && memory.is_some_and(|memory| memory.last != Outcome::None);
            if standing.reach == Reach::Public && !first && !last_resort {
                standing.reach = Reach::Unknown;
            }
        }
    }
    standing
}

/// The public address of the router above a WAN, as it says itself.
pub(super) fn above(world: &World, wan: &Wan, family: Family) -> Option<IpAddr> {
    let sensed = world.wans.get(&wan.name).filter(|_| family == Family::V4)?;
    upstream::public(wan, sensed)
}

/// The same, unless witnesses agree that the internet sees another one.
pub fn outside(world: &World, state: &State, wan: &Wan) -> Option<IpAddr> {
    let found = standing(world, state, wan, Family::V4).refuted;
    above(world, wan, Family::V4).filter(|addr| found != Some(*addr))
}

/// Whether the WAN's IPv6 is a way in.
pub fn has_public_v6(world: &World, state: &State, wan: &Wan) -> bool {
    standing(world, state, wan, Family::V6).reach == Reach::Public
}
