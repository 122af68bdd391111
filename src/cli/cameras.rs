//! `porchlight cameras`: what in the LAN looks like a camera, and the sections that lead to it, to be pasted or written.
//! Needs no daemon. docs/cameras.md describes the JSON.

use super::output::{complain, say, tell, Progress};
use super::{unexpected, Fault, OK, USAGE};
use crate::act::thread::wait;
use crate::agent::{random, read_bytes, read_config, understand};
use crate::camera::evidence::{Device, Service};
use crate::camera::find::{self, Found};
use crate::camera::section;
use crate::config::uci::FILE_CAP;
use crate::config::Config;
use crate::mapping::uci_file::UciFile;
use crate::model::{Mac, Protection};
use crate::paths::Paths;
use crate::secret::printable;
use crate::wire::json::{array, Object};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// The longest name of a section that is written.
const MAX_NAME: usize = 32;

/// What was asked for.
#[derive(Default)]
struct Wish<'a> {
    json: bool,
    /// The name of the sections to write.
    write: Option<&'a str>,
    /// Which camera: its address or hardware address.
    which: Option<&'a str>,
}

/// Lists cameras, or writes one into the configuration.
pub fn run(paths: &Paths, arguments: &[String]) -> Result<u8, Fault> {
    let wish = read(arguments)?;
    let reading = read_config(paths);
    let none = Config::default();
    let (config, trouble) = match &reading {
        Ok(reading) => (&reading.config, None),
        Err(why) => (&none, Some(why.as_str())),
    };
    if let (Some(why), true) = (trouble, wish.write.is_some()) {
        complain(&format!("{why}; nothing is written"));
        return Ok(USAGE);
    }
    let progress = Progress::new();
    let seed = [random(), random(), random(), random()];
    let found = wait(find::find(paths, config, seed, &|line| progress.show(line)));
    progress.end();
    let found = found?;
    let text = read_bytes(&paths.config, FILE_CAP as u64).unwrap_or_default();
    let offers = offers(config, section::taken(&String::from_utf8_lossy(&text)), &found);
    match wish.write {
        Some(name) => write(paths, name, wish.which, &offers),
        None if wish.json => {
            say(&in_json(&found, &offers));
            Ok(OK)
        }
        None => {
            say(&list(&found, &offers, trouble));
            Ok(OK)
        }
    }
}

fn read(arguments: &[String]) -> Result<Wish<'_>, Fault> {
    let mut wish = Wish::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--json" => wish.json = true,
            "--write" if wish.write.is_none() => {
                let name =
                    rest.next().ok_or_else(|| Fault::Usage("--write needs a name for the camera".into()))?;
                let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
                if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(plain) {
                    let text =
                        format!("a name has letters, digits and _ only, {MAX_NAME} at most: not {name}");
                    return Err(Fault::Usage(text));
                }
                wish.write = Some(name);
            }
            other if other.starts_with('-') || wish.write.is_none() || wish.which.is_some() => {
                return Err(unexpected(other))
            }
            other if other.parse::<Ipv4Addr>().is_err() && Mac::parse(other).is_none() => {
                return Err(Fault::Usage(format!("{other} is no IPv4 address and no hardware address")))
            }
            other => wish.which = Some(other),
        }
    }
    match wish {
        Wish { json: true, write: Some(_), .. } => Err(Fault::Usage("either --json or --write".into())),
        wish => Ok(wish),
    }
}

/// A camera that was found, and what leads to it.
struct Offer<'a> {
    device: &'a Device,
    /// The camera section that it is in the configuration already.
    configured: Option<&'a str>,
    name: String,
    port: u16,
}

impl Offer<'_> {
    fn sections(&self, name: &str) -> String {
        section::sections(self.device, name, self.port)
    }
}

fn offers<'a>(config: &'a Config, mut taken: Vec<String>, found: &'a Found) -> Vec<Offer<'a>> {
    let mut offers: Vec<Offer> = Vec::new();
    for device in &found.cameras {
        let name = section::name(&taken, device);
        taken.extend(section::names_of(&name));
        let ports: Vec<u16> = offers.iter().map(|offer| offer.port).collect();
        let port = section::public_port(config, &ports, random());
        offers.push(Offer { device, configured: section::configured(config, device), name, port });
    }
    offers
}

/// For people.
fn list(found: &Found, offers: &[Offer], trouble: Option<&str>) -> String {
    let mut out = match offers.len() {
        0 => "No camera was found".to_string(),
        1 => "One camera".to_string(),
        count => format!("{count} cameras"),
    };
    let _ = write!(out, " in {}", find::shown(&found.lans));
    let _ = writeln!(out, ". Devices known there: {}, asked: {}.", found.known, found.asked);
    if found.left > 0 {
        let _ = writeln!(out, "Not asked, for lack of time, though perhaps cameras: {}.", found.left);
    }
    if let Some(why) = trouble {
        let _ = writeln!(out, "Which lines are WANs was guessed by the default route: {}.", printable(why));
    }
    if offers.is_empty() {
        out += "A camera is found by ONVIF, by mDNS, or by its maker or name together with RTSP at port 554 or 8554: see\n\
                whether it has power and network, and switch ONVIF or RTSP on in its own settings.\n";
    }
    for offer in offers {
        out.push('\n');
        about(&mut out, offer);
    }
    out
}

fn about(out: &mut String, offer: &Offer) {
    let device = offer.device;
    let _ = write!(out, "{}", device.addr);
    if let Some(mac) = device.mac {
        let _ = write!(out, "  {mac}");
    }
    let _ = writeln!(out, "  {}", called(device));
    for service in &device.services {
        let _ = writeln!(out, "  {} at {} {}", service.how, service.port, answers(service));
    }
    if let Some(port) = device.onvif {
        let _ = writeln!(out, "  onvif at {port}");
    }
    if let Some(name) = offer.configured {
        let _ = writeln!(out, "  is camera '{name}' of your configuration");
        return;
    }
    let obstacle = section::obstacle(device);
    if !obstacle.is_empty() {
        let _ = writeln!(out, "  {obstacle}");
    }
    let _ = writeln!(
        out,
        "  for /etc/config/porchlight, or by: porchlight cameras --write {} {}\n\n{}",
        offer.name,
        device.addr,
        offer.sections(&offer.name)
    );
    out.truncate(out.trim_end().len());
    out.push('\n');
}

/// Its maker, its model and its name, as far as they are known and say something new.
fn called(device: &Device) -> String {
    let mut text = device.vendor.map_or("unknown maker", |vendor| vendor.name).to_string();
    if !device.model.is_empty() && !device.model.eq_ignore_ascii_case(&text) {
        let _ = write!(text, ", {}", device.model);
    }
    if !device.name.is_empty() {
        let _ = write!(text, ", called {}", device.name);
    }
    text
}

/// What a port made of the question, in a few words.
fn answers(service: &Service) -> String {
    match (&service.found, service.how) {
        (Protection::Unproven(why), _) => {
            let short = why.split([',', ':']).next().unwrap_or_default();
            format!("is not known to ask for a password: {short}")
        }
        (found, _) => found.to_string(),
    }
}

/// For programs: docs/cameras.md.
fn in_json(found: &Found, offers: &[Offer]) -> String {
    let camera = |offer: &Offer| {
        let device = offer.device;
        let services = device.services.iter().map(|service| {
            let object = Object::new().num("port", service.port.into()).shown("protocol", &service.how);
            let object = match service.found {
                Protection::Password(_) => object.bool("password", true),
                Protection::Open => object.bool("password", false),
                _ => object.raw("password", "null"),
            };
            object.shown("says", &service.found).end()
        });
        let ways = device.ways().map(crate::wire::json::quoted);
        let mut object = Object::new().shown("address", &device.addr);
        object = match device.mac {
            Some(mac) => object.shown("mac", &mac),
            None => object.raw("mac", "null"),
        };
        object = object.str("name", &device.name).str("model", &device.model);
        object = object.str("vendor", device.vendor.map_or("", |vendor| vendor.name));
        object = match device.onvif {
            Some(port) => object.num("onvif", port.into()),
            None => object.raw("onvif", "null"),
        };
        object = object.raw("found_by", &array(ways)).raw("services", &array(services));
        object = match offer.configured {
            Some(name) => object.str("configured", name).raw("sections", "null"),
            None => object.raw("configured", "null").str("sections", &offer.sections(&offer.name)),
        };
        object.end()
    };
    let lans =
        found.lans.iter().map(|own| crate::wire::json::quoted(&find::shown(std::slice::from_ref(own))));
    let object = Object::new().raw("networks", &array(lans)).num("known", found.known as i64);
    let object = object.num("asked", found.asked as i64).num("not_asked", found.left as i64);
    object.raw("cameras", &array(offers.iter().map(camera))).end() + "\n"
}

/// Writes the sections of one camera.
fn write(paths: &Paths, name: &str, which: Option<&str>, offers: &[Offer]) -> Result<u8, Fault> {
    let offer = choose(which, offers)?;
    if let Some(known) = offer.configured {
        return Err(format!(
            "{} is camera '{known}' of the configuration already; nothing was written",
            offer.device.addr
        )
        .into());
    }
    let sections = offer.sections(name);
    let file = UciFile::new(&paths.config, FILE_CAP);
    let edit = |text: &[u8]| add(paths, text, name, &sections);
    wait(file.update(&edit))?;
    say(&format!("written to {}:\n\n{sections}\n", printable(&paths.config.display().to_string())));
    let obstacle = section::obstacle(offer.device);
    if !obstacle.is_empty() {
        tell(&format!("{obstacle}."));
    }
    say("next: `porchlight check`, then have the agent read it: `service porchlight reload` on OpenWrt, else SIGHUP\n");
    Ok(OK)
}

/// The new text of the configuration.
fn add(paths: &Paths, text: &[u8], name: &str, sections: &str) -> Result<Option<Vec<u8>>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8; nothing was written")?;
    let Some(new) = section::append(text, name, sections)? else { return Ok(None) };
    let reading = understand(paths, &new);
    if reading.is_faulty() {
        return Err("it has faults, or would have; nothing was written: `porchlight check` names those that are there".into());
    }
    Ok(Some(new.into_bytes()))
}

/// Which of them is meant.
fn choose<'a, 'b>(which: Option<&str>, offers: &'a [Offer<'b>]) -> Result<&'a Offer<'b>, Fault> {
    if let Some(which) = which {
        let mac = Mac::parse(which);
        let meant = |offer: &&Offer| {
            mac.is_some() && offer.device.mac == mac || which.parse() == Ok(offer.device.addr)
        };
        let none =
            || format!("no camera was found at {which}; nothing was written: see `porchlight cameras`");
        return Ok(offers.iter().find(meant).ok_or_else(none)?);
    }
    let new: Vec<&Offer> = offers.iter().filter(|offer| offer.configured.is_none()).collect();
    match new.as_slice() {
        [] => Err("no camera was found that is not configured already; nothing was written".into()),
        [one] => Ok(one),
        several => {
            let addrs: Vec<String> = several.iter().map(|offer| offer.device.addr.to_string()).collect();
            let text = format!(
                "{} cameras were found: say which, by its address ({})",
                several.len(),
                addrs.join(", ")
            );
            Err(Fault::Usage(text))
        }
    }
}

#[cfg(test)]
mod tests;
