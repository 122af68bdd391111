//! `/etc/config/dhcp`: our static leases in it, each a named section, `config host 'porchlight_<camera>'`. Options:
//! <https://openwrt.org/docs/guide-user/base-system/dhcp_configuration#static_leases>.    [pure]

use crate::config::edit::{has_our_name, ids, sections, Ours, Setting, Wanted, PREFIX};
use crate::config::uci::Section;
use crate::model::Mac;
use crate::plan::{LeaseJob, Leased, StaticLease};
use crate::secret::printable;
use std::net::Ipv4Addr;

/// Its name among the configurations.
const PACKAGE: &str = "dhcp";
/// The type of our sections, and of others' static leases.
const KIND: &str = "host";

/// The text with what the job wants, `None` where it has that already; and what is then written for each camera.
/// The address of a section that is there stays, but for one that is to move.
///
/// # Errors
/// As [`Ours::edit`].
pub fn edit(text: &[u8], job: &LeaseJob) -> Result<(Option<Vec<u8>>, Leased), String> {
    let all = sections(text)?;
    let (ours, others): (Vec<&Section>, Vec<&Section>) =
        all.iter().filter(|section| section.kind == KIND).partition(|section| has_our_name(section));
    let (mut leased, mut wanted, mut kept) = (Leased::default(), Vec::new(), Vec::new());
    let names = ids(job.leases.iter().map(|lease| lease.camera.as_str()));
    for (lease, id) in job.leases.iter().zip(names) {
        let name = format!("{PREFIX}{id}");
        let old = ours.iter().find(|section| section.name.as_ref() == Some(&name));
        let old = old.and_then(|section| value(section, "ip")?.parse::<Ipv4Addr>().ok());
        let known = !lease.macs.is_empty();
        let Some(addr) = lease.addr.filter(|_| known && (lease.moved || old.is_none())).or(old) else {
            kept.push(name);
            continue;
        };
        if !known {
            kept.push(name);
        } else if let Some(why) = taken(lease, addr, &others, &leased) {
            leased.refused.push((lease.camera.clone(), why));
            continue;
        } else {
            wanted.push(Wanted { kind: KIND, id, options: options(lease, addr) });
        }
        leased.pinned.push((lease.camera.clone(), addr));
    }
    let stays =
        |section: &Section| !job.only || section.name.as_ref().is_some_and(|name| kept.contains(name));
    let ours = Ours { package: PACKAGE, is_ours: &|section| section.kind == KIND, stays: &stays };
    let text = ours.edit(text, wanted)?;
    Ok((text, leased))
}

/// As LuCI writes them.
fn options(lease: &StaticLease, addr: Ipv4Addr) -> Vec<Setting> {
    let macs = lease.macs.iter().map(|mac| mac.to_string().to_ascii_uppercase()).collect();
    vec![
        Setting::option("name", lease.host.clone()),
        Setting::list("mac", macs),
        Setting::option("ip", addr.to_string()),
    ]
}

/// Whose the address or a hardware address is already: dnsmasq does not start with an address that is given twice.
fn taken(lease: &StaticLease, addr: Ipv4Addr, others: &[&Section], leased: &Leased) -> Option<String> {
    let twin = leased.pinned.iter().find(|(_, other)| *other == addr);
    if let Some((camera, _)) = twin {
        return Some(format!("{addr} is pinned for camera {camera} already"));
    }
    for section in others {
        let of_it = |mac: &&Mac| macs(section).any(|other| other == **mac);
        let what = match lease.macs.iter().find(of_it) {
            Some(mac) => mac.to_string(),
            None if value(section, "ip").and_then(|ip| ip.parse().ok()) == Some(addr) => addr.to_string(),
            None => continue,
        };
        let name = value(section, "name").or(section.name.as_deref()).unwrap_or("without a name");
        return Some(format!(
            "/etc/config/dhcp has a static lease for {what} already, of host {}",
            printable(name)
        ));
    }
    None
}

fn value<'a>(section: &'a Section, name: &str) -> Option<&'a str> {
    section.option(name)?.values.first().map(String::as_str)
}

/// The hardware addresses of a static lease: a list, or parted by blanks.
fn macs(section: &Section) -> impl Iterator<Item = Mac> + '_ {
    let values = section.option("mac").into_iter().flat_map(|option| &option.values);
    values.flat_map(|value| value.split_ascii_whitespace()).filter_map(Mac::parse)
}
