//! A DNS zone that takes updates: the rules of RFC 2136 section 3, as data, without sockets.

use domain::base::iana::{Class, Rcode};
use domain::base::name::FlattenInto;
use domain::base::{Message, Name, ParsedName, Rtype, ToName, Ttl};
use domain::rdata::{Aaaa, AllRecordData, Ns, Soa, A};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A name of the zone, lower case.
pub type Owner = Name<Vec<u8>>;
/// The value of a record.
pub type Data = AllRecordData<Vec<u8>, Owner>;
/// All values of one name and type, with their time to live.
pub type Set = (Ttl, Vec<Data>);

/// Default time to live of the zone's own records.
const TTL: Ttl = Ttl::from_secs(60);
/// The most records that one zone holds, so that a runaway client cannot fill the memory.
const MAX_SETS: usize = 10_000;

/// A zone: its apex, and its sets by name and type.
pub struct Zone {
    apex: Owner,
    sets: BTreeMap<(Owner, Rtype), Set>,
}

/// One record of an update message, owned.
struct Rr {
    owner: Owner,
    class: Class,
    rtype: Rtype,
    ttl: Ttl,
    data: Option<Data>,
}

impl Zone {
    /// A zone with one name server, `ns1`, at these addresses.
    pub fn new(apex: &str, v4: Ipv4Addr, v6: Ipv6Addr) -> Result<Zone, domain::base::name::FromStrError> {
        let apex = apex.parse::<Owner>()?;
        let server = format!("ns1.{apex}").parse::<Owner>()?;
        let soa = Soa::new(server.clone(), server.clone(), 1.into(), TTL, TTL, TTL, TTL);
        let mut sets = BTreeMap::new();
        sets.insert((apex.clone(), Rtype::SOA), (TTL, vec![soa.into()]));
        sets.insert((apex.clone(), Rtype::NS), (TTL, vec![Ns::new(server.clone()).into()]));
        sets.insert((server.clone(), Rtype::A), (TTL, vec![A::new(v4).into()]));
        sets.insert((server, Rtype::AAAA), (TTL, vec![Aaaa::new(v6).into()]));
        Ok(Zone { apex, sets })
    }

    /// The zone's own name.
    pub fn apex(&self) -> &Owner {
        &self.apex
    }

    /// The set of a name and type.
    pub fn set(&self, owner: &impl ToName, rtype: Rtype) -> Option<&Set> {
        self.sets.get(&(lower(owner), rtype))
    }

    /// Whether a name has any set.
    pub fn has(&self, owner: &impl ToName) -> bool {
        let owner = lower(owner);
        self.sets.keys().any(|(name, _)| *name == owner)
    }

    /// The zone's serial number, which each change raises.
    pub fn serial(&self) -> u32 {
        match self.sets.get(&(self.apex.clone(), Rtype::SOA)).map(|set| set.1.as_slice()) {
            Some([AllRecordData::Soa(soa)]) => soa.serial().into_int(),
            _ => 0,
        }
    }

    /// Makes this the only address of its family at a name.
    pub fn put(&mut self, owner: Owner, addr: IpAddr) {
        let (rtype, data) = match addr {
            IpAddr::V4(addr) => (Rtype::A, Data::from(A::new(addr))),
            IpAddr::V6(addr) => (Rtype::AAAA, Data::from(Aaaa::new(addr))),
        };
        let set = (TTL, vec![data]);
        if self.sets.get(&(lower(&owner), rtype)) != Some(&set) {
            self.sets.insert((lower(&owner), rtype), set);
            self.raise_serial();
        }
    }

    /// Carries out an UPDATE message, all of it or nothing. The verdict is the answer's code.
    pub fn update(&mut self, message: &Message<Vec<u8>>) -> Rcode {
        match self.try_update(message) {
            Ok(()) => Rcode::NOERROR,
            Err(rcode) => rcode,
        }
    }

    fn try_update(&mut self, message: &Message<Vec<u8>>) -> Result<(), Rcode> {
        let zone = message.sole_question().map_err(|_| Rcode::FORMERR)?;
        if zone.qtype() != Rtype::SOA {
            return Err(Rcode::FORMERR);
        }
        if zone.qclass() != Class::IN || !zone.qname().name_eq(&self.apex) {
            return Err(Rcode::NOTAUTH);
        }
        for rr in read(message.prerequisite())? {
            self.inside(&rr)?;
            self.check(&rr)?;
        }
        let updates = read(message.update())?;
        for rr in &updates {
            self.inside(rr)?;
            prescan(rr)?;
        }
        let before = self.sets.clone();
        updates.into_iter().for_each(|rr| self.apply(rr));
        if self.sets.len() > MAX_SETS {
            self.sets = before;
            return Err(Rcode::SERVFAIL);
        }
        if self.sets != before {
            self.raise_serial();
        }
        Ok(())
    }

    fn inside(&self, rr: &Rr) -> Result<(), Rcode> {
        if rr.owner.ends_with(&self.apex) {
            Ok(())
        } else {
            Err(Rcode::NOTZONE)
        }
    }

    /// One prerequisite, RFC 2136 section 3.2.5 (a value-dependent one is met if the value is there).
    fn check(&self, rr: &Rr) -> Result<(), Rcode> {
        if rr.ttl != Ttl::ZERO {
            return Err(Rcode::FORMERR);
        }
        let (any_type, there) = (rr.rtype == Rtype::ANY, self.set(&rr.owner, rr.rtype));
        let (met, or_else) = match (rr.class, &rr.data) {
            (Class::ANY, None) if any_type => (self.has(&rr.owner), Rcode::NXDOMAIN),
            (Class::ANY, None) => (there.is_some(), Rcode::NXRRSET),
            (Class::NONE, None) if any_type => (!self.has(&rr.owner), Rcode::YXDOMAIN),
            (Class::NONE, None) => (there.is_none(), Rcode::YXRRSET),
            (Class::IN, Some(data)) => (there.is_some_and(|set| set.1.contains(data)), Rcode::NXRRSET),
            _ => return Err(Rcode::FORMERR),
        };
        if met {
            Ok(())
        } else {
            Err(or_else)
        }
    }

    /// One update, RFC 2136 section 3.4.2. The apex keeps its SOA and NS.
    fn apply(&mut self, rr: Rr) {
        let kept = rr.owner == self.apex && matches!(rr.rtype, Rtype::SOA | Rtype::NS);
        let key = (rr.owner, rr.rtype);
        match (rr.class, rr.data) {
            (Class::ANY, _) if rr.rtype == Rtype::ANY => {
                let apex = &self.apex;
                self.sets.retain(|(name, rtype), _| {
                    *name != key.0 || (name == apex && matches!(*rtype, Rtype::SOA | Rtype::NS))
                });
            }
            (Class::ANY, _) if !kept => drop(self.sets.remove(&key)),
            (Class::NONE, Some(data)) if !kept => {
                if let Some(set) = self.sets.get_mut(&key) {
                    set.1.retain(|old| *old != data);
                    if set.1.is_empty() {
                        self.sets.remove(&key);
                    }
                }
            }
            (Class::IN, Some(data)) if !kept && self.may_stand(&key) => {
                let set = self.sets.entry(key).or_insert((rr.ttl, Vec::new()));
                set.0 = rr.ttl;
                set.1.retain(|old| *old != data);
                set.1.push(data);
            }
            _ => {}
        }
    }

    /// A CNAME stands alone: what does not fit beside it is ignored, as RFC 2136 has it.
    fn may_stand(&self, (owner, rtype): &(Owner, Rtype)) -> bool {
        let others = |(name, other): &&(Owner, Rtype)| name == owner && other != rtype;
        match *rtype {
            Rtype::CNAME => self.sets.keys().find(others).is_none(),
            _ => !self.sets.contains_key(&(owner.clone(), Rtype::CNAME)),
        }
    }

    fn raise_serial(&mut self) {
        let serial = self.serial().wrapping_add(1);
        if let Some((_, data)) = self.sets.get_mut(&(self.apex.clone(), Rtype::SOA)) {
            let server = match data.first() {
                Some(AllRecordData::Soa(soa)) => soa.mname().clone(),
                _ => return,
            };
            *data = vec![Soa::new(server.clone(), server, serial.into(), TTL, TTL, TTL, TTL).into()];
        }
    }
}

/// What must be right before anything is changed, RFC 2136 section 3.4.1.
fn prescan(rr: &Rr) -> Result<(), Rcode> {
    let deletes = rr.class == Class::ANY && rr.data.is_none() && rr.ttl == Ttl::ZERO;
    let removes = rr.class == Class::NONE && rr.data.is_some() && rr.ttl == Ttl::ZERO;
    let adds = rr.class == Class::IN && rr.data.is_some() && rr.rtype != Rtype::ANY;
    if deletes || removes || adds {
        Ok(())
    } else {
        Err(Rcode::FORMERR)
    }
}

type Section<'a> = domain::base::message::RecordSection<'a, Vec<u8>>;

/// The records of one section, owned, names in lower case.
fn read(section: Result<Section<'_>, domain::base::wire::ParseError>) -> Result<Vec<Rr>, Rcode> {
    let mut out = Vec::new();
    for record in section.map_err(bad)? {
        let record = record.map_err(bad)?;
        let (class, rtype, ttl) = (record.class(), record.rtype(), record.ttl());
        let owner = lower(&record.owner());
        let data = if record.rdlen() == 0 {
            None
        } else {
            let record =
                record.to_record::<AllRecordData<_, ParsedName<_>>>().map_err(bad)?.ok_or(Rcode::FORMERR)?;
            Some(record.into_data().try_flatten_into().map_err(bad)?)
        };
        out.push(Rr { owner, class, rtype, ttl, data });
    }
    Ok(out)
}

fn bad<E>(_: E) -> Rcode {
    Rcode::FORMERR
}

fn lower(name: &impl ToName) -> Owner {
    // Canonical order of bytes for look-ups: names are equal whatever their case.
    let mut bytes = Vec::new();
    name.iter_labels().for_each(|label| {
        bytes.push(label.len() as u8);
        bytes.extend(label.iter().map(|byte| byte.to_ascii_lowercase()));
    });
    Name::from_octets(bytes).unwrap_or_else(|_| Name::root_vec())
}
