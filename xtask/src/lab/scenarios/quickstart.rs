//! The README's quick start, typed by a script to the letter: its own code blocks, in busybox's shell, on a router that
//! has none of it yet. What is printed must be what the page shows, but for numbers, and the camera must be reached.

use super::scripts::room::{bind, install, Room};
use super::Scenario;
use crate::lab::openwrt::Openwrt;
use crate::lab::web::{Face, Web, CACERT};
use crate::lab::whoami::Whoami;
use crate::lab::*;
use crate::package::{self, Kind};
use anyhow::{ensure, Context, Result};
use std::fs;

/// With nginx in front of Cloudflare's stand-in.
pub const QUICKSTART: Scenario = Scenario {
    name: "quickstart",
    about:
        "the README's quick start, typed to the letter: from the package to the camera reached by its name",
    needs: &["busybox", "nginx", "openssl"],
    limit: Duration::from_secs(90),
    slow: false,
    run,
};

/// Where the camera is.
const PLACE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);
/// The API of the page's provider, which the lab's web stands in for.
const API: &str = "api.cloudflare.com";
/// The page says "a few seconds".
const A_FEW_SECONDS: Duration = Duration::from_secs(15);
/// The only thing that is added to what the page says: the lab's addresses are from the documentation's ranges.
const ADDED: (&str, &str) = (
    "config wan 'wan'\n",
    "config wan 'wan'\n\tlist accept '203.0.113.0/24'\n\tlist accept '2001:db8::/32'\n",
);
/// What the package holds in the program's place, and where the program is then.
const PROGRAM: (&str, &str) = ("#!/bin/sh\nexec /usr/libexec/porchlight \"$@\"\n", "usr/libexec/porchlight");
/// What opkg does with a package that has no dependencies to fetch.
const OPKG: &str = r#"#!/bin/sh -e
[ "$1" = install ]
mkdir -p /tmp/opkg/control
tar -xzf "$2" -C /tmp/opkg
tar -xzf /tmp/opkg/data.tar.gz -C /
tar -xzf /tmp/opkg/control.tar.gz -C /tmp/opkg/control
/tmp/opkg/control/postinst configure
"#;
/// The function of OpenWrt's /etc/profile.
const SERVICE: &str = "#!/bin/sh\nexec \"/etc/init.d/$1\" \"$2\"\n";

/// A command of the page, and what it prints there.
#[derive(Debug, Default, PartialEq, Eq)]
struct Typed {
    line: String,
    shown: Option<String>,
}

fn run(lab: &mut Lab) -> Result<Summary> {
    let page = fs::read_to_string(tools::workspace().join("README.md"))?;
    let typed = typed(&page)?;
    let router = Router::furnish(lab, &page)?;
    let mut daemon = None;
    let mut compared = 0;
    for Typed { line, shown } in &typed {
        let said = if line == "porchlight status" {
            let shown = shown.as_ref().context("the page does not show what status prints")?;
            router.status(&shape(shown)).context("status does not come to print what the page shows")?
        } else {
            router.room.sh(&line.replacen(ADDED.0, ADDED.1, 1), &[]).context("the quick start")?
        };
        daemon = router.started()?.or(daemon);
        if let Some(shown) = shown {
            compared += 1;
            ensure!(
                shape(&said) == shape(shown),
                "`{line}` prints another thing than the page shows:\n{said}"
            );
        }
    }
    ensure!(typed.len() >= 6 && compared == 2, "the page shows {} commands, {compared} answers", typed.len());
    let port = between(&page, "option src_dport '", "'")?.parse::<u16>()?;
    let reached = probe::rtsp(&lab.internet, (WAN4, port).into(), SECOND)?;
    ensure!(reached == "front", "at port {port} answers {reached}");
    Ok(Summary::line(format!(
        "{} commands typed, {compared} answers as the page shows them, the camera reached at {NAME}:{port}",
        typed.len()
    )))
}

/// The router as it comes, with a line and a camera, and a package in /tmp.
struct Router<'a> {
    lab: &'a Lab,
    room: Room<'a>,
    dns: Nameserver,
    web: Web,
    openwrt: Openwrt,
    _whoami: Whoami,
    _camera: RtspCamera,
}

impl Router<'_> {
    /// The camera's hardware address and the token are the page's own.
    fn furnish<'a>(lab: &'a Lab, page: &str) -> Result<Router<'a>> {
        lab.router.nft("delete table inet home")?;
        let dns = lab.nameserver()?;
        let authorization = format!("Bearer {}", between(page, "echo '", "'")?);
        let face = Face { host: API.into(), addr: WEB4, tls: "TLSv1.2 TLSv1.3", authorization };
        let web = Web::start(lab, ZONE, &[face])?;
        let whoami = Whoami::start(lab)?;
        lab.wan_up()?;
        lab.wait_dad(WAN6)?;
        let openwrt = Openwrt::start(lab, WAN4)?;
        let host = lab.lan_host("yard", between(page, "list mac '", "'")?, PLACE)?;
        let camera = RtspCamera::start(&host.ns, 554, "front")?;
        lab.write_leases(&[host.lease(PLACE)])?;
        let room = Room::bare(lab)?;
        let router = Router { lab, room, dns, web, openwrt, _whoami: whoami, _camera: camera };
        router.furnish_root()?;
        Ok(router)
    }

    /// What the router's file system has beyond a bare one.
    fn furnish_root(&self) -> Result<()> {
        let root = &self.lab.root;
        fs::remove_dir_all(root.join("etc/porchlight"))?;
        fs::create_dir_all(root.join("etc/ssl/certs"))?;
        fs::copy(root.join(CACERT.trim_start_matches('/')), root.join("etc/ssl/certs/ca-certificates.crt"))?;
        fs::copy(self.lab.router.etc("hosts"), root.join("etc/hosts"))?;
        let made = package::make_with(Kind::Ipk, "x86_64", PROGRAM.0)?;
        fs::create_dir_all(root.join("usr/libexec"))?;
        fs::copy(&self.lab.program, root.join(PROGRAM.1))?;
        fs::write(root.join("tmp").join(&made.name), &made.bytes)?;
        install(OPKG.as_bytes(), &root.join("bin/opkg"))?;
        install(SERVICE.as_bytes(), &root.join("sbin/service"))?;
        self.furnish_ubus()
    }

    /// netifd's half of ubus is a script, procd's and fw4 the stand-ins of this process.
    fn furnish_ubus(&self) -> Result<()> {
        let root = &self.lab.root;
        let dir = self.openwrt.dir();
        for path in [dir, &std::env::current_exe()?] {
            let inside = root.join(path.strip_prefix("/")?);
            match path.is_dir() {
                true => fs::create_dir_all(&inside)?,
                false => {
                    fs::create_dir_all(inside.parent().context("no directory")?)?;
                    fs::write(&inside, "")?;
                }
            }
            bind(path, &inside)?;
        }
        let dir = dir.display();
        let ubus = format!(
            "#!/bin/sh\ncase \"$2\" in\nnetwork.interface.wan | network.interface.wan6)\n\techo '{{ \"up\": true, \
             \"pending\": false, \"available\": true, \"l3_device\": \"wan0\", \"ipv6-prefix\": [], \"data\": {{ }} }}'\n\
             \t;;\n*) exec {dir}/ubus \"$@\" ;;\nesac\n"
        );
        install(ubus.as_bytes(), &root.join("bin/ubus"))?;
        install(format!("#!/bin/sh\nexec {dir}/fw4 \"$@\"\n").as_bytes(), &root.join("sbin/fw4"))
    }

    /// Does what procd was told: starts the daemon.
    fn started(&self) -> Result<Option<Daemon>> {
        let told = self.room.take("procd");
        let Some(line) = told.lines().find_map(|line| line.strip_prefix("set command ")) else {
            return Ok(None);
        };
        let mut command = self.room.command();
        command.args(line.split(' '));
        self.lab.router.spawn("porchlight", &mut command).map(Some)
    }

    /// Looks until all is well and as the page shows it, as a person does. The zone's name server has what Cloudflare was
    /// told.
    fn status(&self, shown: &[String]) -> Result<String> {
        let mut last = String::new();
        until("status prints what the page shows", A_FEW_SECONDS, || {
            if let Some(addr) = self.web.address(API, NAME) {
                self.dns.publish(NAME, addr).ok()?;
            }
            let said = self.room.run("porchlight status", &[]).ok()?;
            last = format!("{}{}", said.stdout, said.stderr);
            (said.status.success() && shape(&said.stdout) == shown).then(|| last.clone())
        })
        .with_context(|| format!("it said last:\n{last}"))
    }
}

/// The commands of the page's quick start, in order, each with the answer that the page shows for the last one of a
/// block. A here-document belongs to its command.
fn typed(page: &str) -> Result<Vec<Typed>> {
    let mut out: Vec<Typed> = Vec::new();
    let mut fence = "";
    let mut here = false;
    for line in between(page, "## Quick start\n", "\n## ")?.lines() {
        let line = line.strip_prefix("   ").unwrap_or(line);
        match (line.strip_prefix("```"), fence) {
            (Some(kind), "") => {
                fence = if kind.is_empty() { "other" } else { kind };
                if fence == "text" {
                    out.last_mut().context("an answer to nothing")?.shown = Some(String::new());
                }
            }
            (Some(_), _) => fence = "",
            (None, "sh") => {
                match out.last_mut().filter(|_| here) {
                    Some(last) => last.line += &format!("\n{line}"),
                    None => out.push(Typed { line: line.into(), shown: None }),
                }
                here = (here && line != "END") || line.ends_with("<<'END'");
            }
            (None, "text") => {
                if let Some(shown) = out.last_mut().and_then(|last| last.shown.as_mut()) {
                    *shown += &format!("{line}\n");
                }
            }
            _ => {}
        }
    }
    Ok(out)
}

/// What stands between two marks, the first time.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Result<&'a str> {
    let rest = text.split_once(from).with_context(|| format!("the page has no {from}"))?.1;
    Ok(rest.split_once(to).with_context(|| format!("nothing ends what follows {from}"))?.0)
}

/// The lines, sorted, with each number and each unit of time as one and the same: what differs from run to run.
fn shape(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::trim_end).map(numberless).collect();
    lines.sort();
    lines
}

fn numberless(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars().peekable();
    while let Some(one) = chars.next() {
        if !one.is_ascii_digit() {
            out.push(one);
            continue;
        }
        while chars.next_if(|next| next.is_ascii_digit() || *next == '.').is_some() {}
        out.push('0');
    }
    ["0 ms", "0 min", "0 h"].iter().fold(out, |line, unit| line.replace(unit, "0 s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_with_their_documents_and_answers() {
        let page = "## Quick start\n\n1. So:\n\n   ```sh\n   a\n   cat >x <<'END'\n   config\n   \tlist\n   END\n   b\n   ```\n\n   \
                    ```text\n   one\n     two\n   ```\n\n## Next\n```sh\nno\n```\n";
        let lines: Vec<(String, Option<String>)> =
            typed(page).unwrap().into_iter().map(|typed| (typed.line, typed.shown)).collect();
        let wanted =
            [("a", None), ("cat >x <<'END'\nconfig\n\tlist\nEND", None), ("b", Some("one\n  two\n"))];
        assert_eq!(lines, wanted.map(|(line, shown)| (line.to_string(), shown.map(str::to_string))));
    }

    #[test]
    fn a_shape_has_no_numbers_but_all_words() {
        assert_eq!(
            shape("b at 192.168.1.20, 0.1 s\na #12 in 310 ms"),
            shape("a #3 in 2 s\nb at 10.0.0.1, 45 ms")
        );
        assert_ne!(shape("a 1 lost"), shape("a 1 found"));
    }
}
