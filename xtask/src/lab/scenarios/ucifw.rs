//! OpenWrt's firewall carries the mapping as a redirect in its own configuration: only that redirect differs, nobody's
//! port is taken, and killed at any instant the file is the old or the new one.

use super::{service, Scenario};
use crate::lab::openwrt::Openwrt;
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use nix::sys::signal::Signal;
use std::net::TcpListener;
use std::os::unix::fs::{symlink, MetadataExt};
use std::process::Command;

/// Where the camera is, and where it moves.
const PLACES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 168, 1, 20), Ipv4Addr::new(192, 168, 1, 60)];
/// The public port of somebody else's redirect, and that of a program on the router.
const DOOR: u16 = 9100;
const PROGRAM: u16 = 9200;
/// After procd's second, for fw4 and for us.
const OPEN_LIMIT: Duration = Duration::from_millis(3000);
/// The same, behind the pause between two reloads.
const PAUSE_LIMIT: Duration = Duration::from_secs(15);
/// What the agent under aim does by itself, it does within this time.
const HIT_WITHIN: Duration = Duration::from_secs(10);
/// What is written for the mapping; `%` is the camera's place.
const SECTION: &str = "
config redirect 'porchlight_front_rtsp'
\toption name 'Porchlight: front_rtsp'
\toption family 'ipv4'
\toption src 'wan'
\toption dest 'lan'
\toption proto 'tcp'
\toption src_dport '8554'
\toption dest_ip '%'
\toption dest_port '554'
\toption reflection '1'
\toption target 'DNAT'
\toption enabled '1'
";
/// A firewall as somebody edited it on another system.
const FIREWALL: &str = "# the firewall of the house
config defaults
\toption input 'REJECT'   # as it should be

config zone
\toption name 'wan'
\toption masq 1

config zone
\toption name 'lan'
";
/// What of it is theirs alone.
const THEIRS: &str = "
config redirect
\toption name 'door'
\toption src 'wan'
\toption dest 'lan'
\toption proto 'tcp'
\toption src_dport '9100'
\toption dest_ip '192.168.1.77'
\toption dest_port '80'
";

/// The backend `uci`.
pub const UCI_BACKEND: Scenario = Scenario {
    name: "ucifw",
    about:
        "mappings as redirects in /etc/config/firewall: nothing else in it changes, nobody's port is taken",
    needs: &["conntrack", "strace"],
    limit: Duration::from_secs(240),
    slow: false,
    run,
};

fn run(lab: &mut Lab) -> Result<Summary> {
    lab.router.nft("delete table inet home")?;
    // Who listens is read from the kernel.
    symlink("/proc", lab.root.join("proc"))?;
    let _dns = lab.nameserver()?;
    lab.wan_up()?;
    let home = Home {
        lab,
        openwrt: Openwrt::start(lab, WAN4)?,
        host: lab.lan_host("camera", CAMERA_MAC, PLACES[0])?,
    };
    let _front = Camera::start(&home.host.ns, 554, "front")?;
    lab.write_leases(&[home.host.lease(PLACES[0])])?;
    let _program = lab.router.enter(|| Ok(TcpListener::bind(("0.0.0.0", PROGRAM))?))?;
    home.replace(&(dos(FIREWALL) + &dos(THEIRS)))?;
    home.configure(true)?;
    let mut summary = Summary::default();
    let mut agent = home.start()?;
    summary.0.push(home.opens()?);
    summary.0.push(home.refuses()?);
    summary.0.push(home.moves()?);
    summary.0.push(home.takes_a_port_that_is_free_now()?);
    agent.kill();
    let mut agent = home.start()?;
    summary.0.push(home.restart_changes_nothing(&agent)?);
    summary.0.push(home.who_may_and_when(&agent)?);
    agent.stop(5 * SECOND)?;
    summary.0.push(home.stays_barred_until_the_camera_is_seen()?);
    summary.0.push(home.stays_until_unmap()?);
    summary.0.push(home.killed_while_writing()?);
    Ok(summary)
}

fn dos(text: &str) -> String {
    text.replace('\n', "\r\n")
}

fn section(place: Ipv4Addr) -> String {
    dos(&SECTION.replace('%', &place.to_string()))
}

/// The router with its firewall, and the camera.
struct Home<'a> {
    lab: &'a Lab,
    openwrt: Openwrt,
    host: Host,
}

impl Home<'_> {
    fn path(&self) -> PathBuf {
        self.lab.root.join("etc/config/firewall")
    }

    fn text(&self) -> Result<String> {
        fs::read_to_string(self.path()).context("no firewall file")
    }

    /// Puts another file in its place, as uci does.
    fn replace(&self, text: &str) -> Result<()> {
        let new = self.lab.root.join("etc/config/.firewall.uci-Ab3dEf");
        fs::write(&new, text)?;
        fs::rename(new, self.path()).context("cannot replace the firewall file")
    }

    /// Two more mappings stand in somebody's way, if `more`.
    fn configure(&self, more: bool) -> Result<()> {
        let mut text = self.lab.config().replacen("'nft'", "'uci'", 1);
        for (name, port) in [("web", DOOR), ("prog", PROGRAM)].into_iter().filter(|_| more) {
            text += &format!(
                "\nconfig mapping '{name}'\n\toption camera 'front'\n\tlist proto 'tcp'\n\toption src_dport '{port}'\n\
                 \toption dest_port '554'\n\toption allow_open '1'\n"
            );
        }
        self.lab.write_config(&text)
    }

    fn start(&self) -> Result<Agent> {
        self.lab.start_agent_as(self.lab.command().arg("run").env("PATH", self.openwrt.path()))
    }

    fn ubus(&self, args: &[&str]) -> Result<()> {
        let mut ubus = Command::new("ubus");
        ubus.args(args).env("PATH", self.openwrt.path());
        self.lab.router.run(&mut ubus, SECOND)?.success().map(drop)
    }

    fn wait_open(&self, limit: Duration) -> Result<Instant> {
        self.lab.wait_greeted("front", WAN4.into(), limit)
    }

    fn opens(&self) -> Result<String> {
        let start = Instant::now();
        let open = self.wait_open(OPEN_LIMIT)?;
        let expected = dos(FIREWALL) + &dos(THEIRS) + &section(PLACES[0]);
        ensure!(self.text()? == expected, "the file is now:\n{}", self.text()?);
        ensure!(self.openwrt.reloads() == 1, "{} reloads", self.openwrt.reloads());
        let calls = self.openwrt.writes();
        ensure!(calls.len() == 1 && calls[0].contains("config.change"), "procd was told {calls:?}");
        Ok(format!(
            "open {} ms after the start by one reload; the rest of the file, with CRLF, is as it was",
            (open - start).as_millis()
        ))
    }

    fn refuses(&self) -> Result<String> {
        // The kernel shows the redirect before the agent has taken that in.
        for (name, why) in
            [("web", ["9100 is forwarded already", "door"]), ("prog", ["9200 is held by", "on this router"])]
        {
            until(&format!("mapping {name} is refused"), SECOND, || {
                let status = self.lab.status().ok()?;
                let mut mappings = status["mappings"].as_array()?.iter();
                let said = mappings.find(|mapping| mapping["name"] == name)?.to_string();
                why.iter().all(|part| said.contains(part)).then_some(())
            })?;
        }
        Ok("refused: a port of another redirect, and one of a program, each by its name".into())
    }

    fn moves(&self) -> Result<String> {
        let before = self.text()?;
        self.host.readdress(PLACES[1])?;
        let start = Instant::now();
        self.lab.write_leases(&[self.host.lease(PLACES[1])])?;
        until("the file leads to the new place", PAUSE_LIMIT, || {
            self.text().ok().filter(|text| text.contains("192.168.1.60"))
        })?;
        let open = self.wait_open(PAUSE_LIMIT)?;
        let expected = before.replace("192.168.1.20", "192.168.1.60");
        ensure!(self.text()? == expected, "more than one line differs:\n{}", self.text()?);
        Ok(format!("the camera moved: open there after {} ms, one line differs", (open - start).as_millis()))
    }

    /// The other redirect goes, as by LuCI.
    fn takes_a_port_that_is_free_now(&self) -> Result<String> {
        let text = self.text()?.replace(&dos(THEIRS), "");
        self.replace(&text)?;
        self.ubus(&[
            "call",
            "service",
            "event",
            r#"{"type":"config.change","data":{"package":"firewall"}}"#,
        ])?;
        let start = Instant::now();
        let at = SocketAddr::from((WAN4, DOOR));
        until("the port that is free now leads to the camera", 2 * PAUSE_LIMIT, || {
            let banner = probe::banner(&self.lab.internet, at, SECOND / 5);
            banner.is_ok_and(|banner| banner == "front").then_some(())
        })?;
        let now = self.text()?;
        ensure!(now.starts_with(&text), "the file is now:\n{now}");
        ensure!(
            now.contains("porchlight_web") && !now.contains("porchlight_prog"),
            "the file is now:\n{now}"
        );
        Ok(format!("the other redirect went: its port is ours after {} ms", start.elapsed().as_millis()))
    }

    /// The section for `src_ip` in the hours of `schedule`; none out of them.
    fn who_may_and_when(&self, agent: &Agent) -> Result<String> {
        let usual = self.text()?;
        let config = fs::read_to_string(self.lab.config_file())?;
        let (before, after) = (service::clock(-2), service::clock(2));
        let limited = |hours: &str| {
            let more = format!(
                "\toption src_dport '8554'\n\tlist src_ip '203.0.113.0/24'\n\toption schedule '{hours}'\n"
            );
            self.lab.write_config(&config.replacen("\toption src_dport '8554'\n", &more, 1))
        };
        let with = section(PLACES[1])
            .replace("\toption src_dport", "\toption src_ip '203.0.113.0/24'\r\n\toption src_dport")
            .replace("reflection '1'", "reflection '0'");
        ensure!(usual.contains(&section(PLACES[1])), "the file is:\n{usual}");
        for (hours, expected) in
            [(format!("{before}-{after}"), with.as_str()), (format!("{after}-{before}"), "")]
        {
            limited(&hours)?;
            agent.signal(Signal::SIGHUP)?;
            let expected = usual.replace(&section(PLACES[1]), expected);
            until("the file is as the hours say", PAUSE_LIMIT, || {
                (self.text().ok()? == expected).then_some(())
            })
            .with_context(|| format!("the file is:\n{}", self.text().unwrap_or_default()))?;
        }
        self.lab.wait_closed(WAN4.into(), SECOND)?;
        self.lab.write_config(&config)?;
        agent.signal(Signal::SIGHUP)?;
        self.wait_open(2 * PAUSE_LIMIT)?;
        Ok("src_ip is one line more of the redirect, out of the hours of schedule there is none".into())
    }

    fn restart_changes_nothing(&self, agent: &Agent) -> Result<String> {
        let (inode, reloads) = (fs::metadata(self.path())?.ino(), self.openwrt.reloads());
        agent.wait_line(Instant::now() - 10 * SECOND, "is open to", 5 * SECOND)?;
        self.wait_open(SECOND)?;
        ensure!(fs::metadata(self.path())?.ino() == inode, "the restart wrote the file");
        ensure!(self.openwrt.reloads() == reloads, "the restart cost a reload");
        Ok("killed and started again: nothing is written, no reload".into())
    }

    /// As after a restart of the router: the redirects are there, and nothing is known of the camera.
    fn stays_barred_until_the_camera_is_seen(&self) -> Result<String> {
        self.host.unplug()?;
        self.lab.router.ip("neigh flush dev lan0")?;
        self.lab.write_leases(&[])?;
        self.forget()?;
        let (inode, reloads) = (fs::metadata(self.path())?.ino(), self.openwrt.reloads());
        let barred = || self.lab.router.sh("nft -s list table inet porchlight").unwrap_or_default();
        let mut agent = self.start()?;
        until("the door is barred", 5 * SECOND, || barred().contains(" drop").then_some(()))?;
        self.host.ns.ip("link set eth0 up")?;
        self.host.readdress(PLACES[1])?;
        self.lab.write_leases(&[self.host.lease(PLACES[1])])?;
        self.wait_open(SECOND)?;
        until("nothing is barred", SECOND, || (!barred().contains(" drop")).then_some(()))?;
        agent.stop(5 * SECOND)?;
        ensure!(fs::metadata(self.path())?.ino() == inode, "the file was written");
        ensure!(self.openwrt.reloads() == reloads, "{} reloads", self.openwrt.reloads() - reloads);
        Ok("as after a restart: barred until the camera is seen, then open, nothing written, no reload"
            .into())
    }

    fn stays_until_unmap(&self) -> Result<String> {
        self.wait_open(SECOND)?;
        ensure!(self.text()?.contains("porchlight_front_rtsp"), "a clean stop wrote the file");
        self.unmap()?;
        ensure!(self.text()? == dos(FIREWALL), "unmap left:\n{}", self.text()?);
        self.lab.wait_closed(WAN4.into(), 2 * SECOND)?;
        Ok("a clean stop leaves it open; unmap closes it, and the file is byte for byte that of before"
            .into())
    }

    fn unmap(&self) -> Result<()> {
        let mut unmap = self.lab.command();
        unmap.arg("unmap").env("PATH", self.openwrt.path());
        self.lab.router.run(&mut unmap, 40 * SECOND)?.success().map(drop)
    }

    /// SIGKILL as the agent is about to make each of these system calls on the new file, or on the old one.
    fn killed_while_writing(&self) -> Result<String> {
        self.configure(false)?;
        let (old, new) = (dos(FIREWALL), dos(FIREWALL) + &section(PLACES[1]));
        let mut found = [0, 0];
        for call in [
            "flock",
            "?open,openat",
            "write",
            "?chmod,fchmod",
            "fsync",
            "?rename,renameat,?renameat2",
            "ftruncate",
        ] {
            self.forget()?;
            self.kill_at(call)?;
            let text = self.text()?;
            ensure!(text == old || text == new, "killed at {call}, the file is:\n{text}");
            found[usize::from(text == new)] += 1;
            let mut agent = self.start()?;
            self.wait_open(PAUSE_LIMIT).with_context(|| format!("after the kill at {call}"))?;
            ensure!(self.text()? == new, "after the kill at {call}, the file is:\n{}", self.text()?);
            agent.stop(5 * SECOND)?;
            self.unmap()?;
            ensure!(self.text()? == old, "unmap left:\n{}", self.text()?);
            let left = fs::read_dir(self.lab.root.join("etc/config"))?.count();
            ensure!(left == 2, "{left} files in /etc/config after the kill at {call}");
        }
        ensure!(found[0] > 3 && found[1] > 0, "killed {} times before, {} after", found[0], found[1]);
        Ok(format!(
            "killed at {} system calls: {} times the file was the old one, {} times the new, and the next run is right",
            found[0] + found[1],
            found[0],
            found[1]
        ))
    }

    /// Makes the agent begin without a memory, so that it waits for no earlier reload.
    fn forget(&self) -> Result<()> {
        match fs::remove_file(self.lab.root.join("var/run/porchlight/state")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn kill_at(&self, call: &str) -> Result<()> {
        let own = self.lab.command();
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null"]);
        for path in [self.path(), self.lab.root.join("etc/config/.firewall.uci-porchl")] {
            command.arg("-P").arg(path);
        }
        command.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:signal=SIGKILL:when=1")]);
        command.arg(own.get_program()).args(own.get_args()).arg("run").env("PATH", self.openwrt.path());
        let mut daemon = self.lab.router.spawn("porchlight under strace", &mut command)?;
        daemon.wait(HIT_WITHIN).with_context(|| format!("{call} did not come"))?;
        self.forget()
    }
}
