//! `cargo demo`: the whole story on one machine. An internet, a home router and a camera are made in
//! namespaces, the real binary runs in the router, and then life happens to it.

use crate::lab::{
    probe, process, seal, tools, until, Agent, Host, Lab, Mood, Nameserver, RtspCamera, Seen, CAMERA_MAC,
    NAME, PORT, SECOND, VIEWER4, WAN4, WAN6,
};
use anstream::println;
use anstyle::{AnsiColor, Style};
use anyhow::{ensure, Context, Result};
use domain::base::iana::Rcode;
use std::ffi::OsString;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// What `cargo demo` takes.
#[derive(clap::Args)]
pub struct Options {
    /// Do not install what this machine lacks; say what to type instead
    #[arg(long)]
    no_install: bool,
    /// Run the release build, as it goes onto routers (takes longer to build)
    #[arg(long)]
    release: bool,
}

/// The sealed part is killed after this time.
const LIMIT: Duration = Duration::from_secs(120);
/// A step that is not done by then has failed.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long the provider's refusals may take to be answered by a good attempt, back-off included.
const HEALING: Duration = Duration::from_secs(45);
/// How long the provider goes on failing after the first attempt: less than the agent's first wait.
const OUTAGE: Duration = Duration::from_secs(3);
/// Between two things that happen: in life they do not come within the agent's debounce either, and
/// the reader may breathe.
const BREATH: Duration = Duration::from_millis(500);
/// Lines of the agent's log that a failure shows.
const LAST_WORDS: usize = 40;
/// How long a camera that was found open may wait to be asked again, at the most, in this story.
const NEXT_QUESTION: Duration = Duration::from_secs(15);
/// What the camera calls itself to those who reach it.
const CAMERA: &str = "Camera at the front door";
/// What every camera says that asks for a password, by the agent's log.
const PROTECTED: &str = "asks for a password (Digest)";

/// The camera's first LAN address, and the one of its next lease.
const LEASES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 168, 1, 20), Ipv4Addr::new(192, 168, 1, 57)];
/// The addresses that the router is given after the first.
const LATER: [Ipv4Addr; 3] =
    [Ipv4Addr::new(203, 0, 113, 77), Ipv4Addr::new(203, 0, 113, 140), Ipv4Addr::new(203, 0, 113, 200)];
/// The IPv6 address that it is given after the first, of another prefix.
const LATER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 0x10);

const HEAD: Style = AnsiColor::Cyan.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const FAINT: Style = Style::new().dimmed();

/// What was typed: prepares the machine, builds the agent, and plays the sealed part.
pub fn run(options: &Options) -> Result<i32> {
    tools::require(tools::BASE, !options.no_install)?;
    println!("{FAINT}Building Porchlight ...{FAINT:#}");
    let program = tools::build_agent(options.release)?;
    let args: [OsString; 3] = ["__demo".into(), "--program".into(), program.into()];
    Ok(seal::exit_code(seal::run(&args, LIMIT, None)?))
}

/// The sealed part; the exit status is 1 if a step of the story went wrong.
pub fn sealed(program: &Path) -> Result<i32> {
    seal::enter()?;
    println!("{}", PICTURE.trim_start_matches('\n'));
    let done = Stage::set(program).and_then(|mut stage| stage.play());
    if let Err(error) = done {
        println!("\n{BAD}This step failed:{BAD:#} {error:#}\n\n{}", process::last_words(LAST_WORDS));
        return Ok(1);
    }
    Ok(0)
}

const PICTURE: &str = "
This machine now plays three at once. Nothing leaves it, and nothing of it will remain.

   the internet                      a home router                   the camera
   a DNS server for example.com  --  Porchlight runs here     --     192.168.1.20, port 554
   198.51.100.53                     wan0: 203.0.113.10              (no router, no camera needed)
   a viewer: 198.51.100.7            lan0: 192.168.1.1

After each thing that happens, a viewer on the internet asks that DNS server for cam.example.com,
connects to the answer at port 8554, and must be answered by the camera, in RTSP.

Porchlight asks the camera itself, too: only if it wants a password, its port is opened.

One thing is true of this demo only: its addresses are documentation ranges (RFC 5737, RFC 3849), which
Porchlight never publishes unless the config says so (`list accept`).
";

/// Everything that the story needs.
struct Stage {
    lab: Lab,
    dns: Nameserver,
    agent: Agent,
    camera: Host,
    server: RtspCamera,
    start: Instant,
    told: usize,
    times: Vec<(&'static str, String)>,
    /// Values that were to be published so far.
    changes: usize,
}

impl Stage {
    fn set(program: &Path) -> Result<Stage> {
        let mut lab = Lab::create(program).context("cannot build the lab")?;
        lab.look = probe::rtsp;
        let dns = lab.nameserver()?;
        let camera = lab.lan_host("camera", CAMERA_MAC, LEASES[0])?;
        let server = RtspCamera::start(&camera.ns, 554, CAMERA)?;
        lab.write_leases(&[camera.lease(LEASES[0])])?;
        // Nobody vouches for this camera: it is asked.
        lab.write_config(&lab.config().replace("\toption allow_open '1'\n", ""))?;
        let start = Instant::now();
        let agent = lab.start_agent()?;
        Ok(Stage { lab, dns, agent, camera, server, start, told: 0, times: Vec::new(), changes: 0 })
    }

    fn play(&mut self) -> Result<()> {
        self.before_the_wan()?;
        self.wan_up()?;
        self.ipv6()?;
        self.readdressed()?;
        self.lease_moves()?;
        self.password_lost()?;
        self.password_set()?;
        self.device_gone_and_back()?;
        self.provider_refuses()?;
        self.status()?;
        self.stops()?;
        self.summary()
    }

    fn before_the_wan(&mut self) -> Result<()> {
        self.head("Porchlight starts, before the router has any WAN");
        let nobody = self.lab.ask(domain::base::Rtype::A)?;
        ensure!(nobody.rcode == Rcode::NXDOMAIN, "the name is there before its time: {nobody:?}");
        self.agent.wait_line(self.start, PROTECTED, PATIENCE)?;
        self.quote();
        self.good("the camera asks for a password: the port is opened, for whoever will come by a WAN");
        self.say("nothing is published, and nothing polls: it waits for the kernel's word");
        Ok(())
    }

    fn wan_up(&mut self) -> Result<()> {
        self.chapter("The WAN comes up");
        self.lab.wan_device()?;
        let since = Instant::now();
        self.lab.wan_add4(WAN4)?;
        self.changes += 1;
        self.reachable("WAN up", since, WAN4)
    }

    fn ipv6(&mut self) -> Result<()> {
        self.chapter("The provider gives IPv6 as well");
        self.lab.wan_add6(WAN6)?;
        self.named6("IPv6 comes up", WAN6)
    }

    fn readdressed(&mut self) -> Result<()> {
        self.chapter("The provider changes the router's address");
        let since = Instant::now();
        self.lab.wan_readdress4(LATER[0])?;
        self.say(&format!("{WAN4} is gone, {} is new", LATER[0]));
        self.changes += 1;
        self.reachable("address changed", since, LATER[0])
    }

    fn lease_moves(&mut self) -> Result<()> {
        self.chapter("The camera gets another DHCP lease");
        let since = Instant::now();
        self.camera.readdress(LEASES[1])?;
        self.lab.write_leases(&[self.camera.lease(LEASES[1])])?;
        self.say(&format!("its LAN address was {}, now it is {}", LEASES[0], LEASES[1]));
        self.reachable("camera moved", since, LATER[0])
    }

    fn password_lost(&mut self) -> Result<()> {
        self.chapter("The camera is reset while somebody watches: it streams to anyone now");
        let at = (LATER[0], PORT).into();
        let mut call = probe::connect(&self.lab.internet, at, SECOND)?;
        ensure!(probe::options(&mut call)? == CAMERA, "the viewer is not connected to the camera");
        self.say(&format!("a viewer, {VIEWER4}, is connected; then the camera forgets its password"));
        self.server.set_password(false);
        self.say("Porchlight asks again every hour; the owner does not wait: porchlight trigger");
        let since = Instant::now();
        self.lab.verb(&["trigger"])?.success()?;
        let cut = until("the viewer is cut off", PATIENCE, || {
            probe::options(&mut call).is_err().then(Instant::now)
        })?;
        let closed = self.lab.wait_closed(LATER[0].into(), PATIENCE)?;
        let took = ms(cut.max(closed).saturating_duration_since(since));
        self.quote();
        self.good(&format!("the port is closed and the viewer cut off, {took} after the owner asked"));
        self.times.push(("password lost", format!("port closed, viewer cut off after {took:>8}")));
        Ok(())
    }

    fn password_set(&mut self) -> Result<()> {
        self.chapter("The owner sets a password on the camera again");
        self.server.set_password(true);
        let since = Instant::now();
        self.say("nobody tells Porchlight: it asks the camera again by itself, soon at first, then rarely");
        let open = self.lab.wait_greeted(CAMERA, LATER[0].into(), NEXT_QUESTION)?;
        let took = ms(open.saturating_duration_since(since));
        self.quote();
        self.good(&format!("it asks for a password: open again after {took}"));
        self.times.push(("password set again", format!("camera reached after {took:>8}")));
        Ok(())
    }

    fn device_gone_and_back(&mut self) -> Result<()> {
        self.chapter("The WAN device vanishes, and comes back with another address");
        self.lab.wan_gone()?;
        self.lab.wait_closed(LATER[0].into(), PATIENCE)?;
        self.say("wan0 is deleted, as when a PPPoE session ends; nobody reaches the camera now");
        self.lab.wan_device()?;
        let since = Instant::now();
        self.lab.wan_add4(LATER[1])?;
        self.say(&format!("a new wan0 is there, with {}", LATER[1]));
        self.changes += 1;
        self.reachable("WAN gone and back", since, LATER[1])?;
        self.lab.wan_add6(LATER6)?;
        self.named6("new IPv6 prefix", LATER6)
    }

    fn provider_refuses(&mut self) -> Result<()> {
        self.chapter("The DNS provider fails, just when the address changes again");
        let before = self.dns.count().0;
        self.dns.set_mood(Mood::Refuse(Rcode::SERVFAIL));
        let since = Instant::now();
        self.lab.wan_readdress4(LATER[2])?;
        self.say(&format!("the address is now {}; each update is answered SERVFAIL", LATER[2]));
        self.lab.wait_greeted(CAMERA, LATER[2].into(), PATIENCE)?;
        self.say("by number the camera is reachable at once; by name it must wait for the provider");
        until("the agent tries again", HEALING, || (self.dns.count().0 > before).then_some(()))?;
        thread::sleep(OUTAGE);
        let healed = Instant::now();
        self.changes += 1;
        self.dns.set_mood(Mood::Well);
        let secs = (healed - since).as_secs_f64();
        self.say(&format!("refused, and left in peace for {secs:.1} s; now the provider is well again"));
        let seen = self.lab.wait_reachable(CAMERA, LATER[2].into(), HEALING)?;
        let took = seen.reached.saturating_duration_since(healed);
        self.quote();
        self.good(&format!("right again at the next attempt, {} after the provider healed", ms(took)));
        self.times.push(("provider healed", format!("right again after {:>5}", ms(took))));
        Ok(())
    }

    fn status(&mut self) -> Result<()> {
        self.chapter("The owner asks how things are: porchlight status");
        let told = self.lab.verb(&["status"])?.success()?;
        told.lines().for_each(|line| println!("          {line}"));
        Ok(())
    }

    fn stops(&mut self) -> Result<()> {
        self.chapter("Porchlight is stopped");
        let status = self.agent.stop(PATIENCE)?;
        ensure!(status.success(), "the agent ended with {status}");
        self.lab.wait_closed(LATER[2].into(), SECOND)?;
        let tables = self.lab.router.sh("nft list tables")?;
        ensure!(tables.trim() == "table inet home", "these firewall tables are left: {tables}");
        self.good("the port is closed; of the firewall only what the router had before is left");
        Ok(())
    }

    /// Waits until a viewer reaches the camera by name, and says how long that took since `since`.
    fn reachable(&mut self, what: &'static str, since: Instant, addr: Ipv4Addr) -> Result<()> {
        let seen = self.lab.wait_reachable(CAMERA, addr.into(), PATIENCE)?;
        let Seen { named, reached } = seen;
        let (named, reached) =
            (named.saturating_duration_since(since), reached.saturating_duration_since(since));
        self.quote();
        self.good(&format!(
            "{NAME} is {addr} after {}, the camera answers at port {PORT} after {}",
            ms(named),
            ms(reached)
        ));
        self.times.push((
            what,
            format!("name right after {:>8}, camera reached after {:>8}", ms(named), ms(reached)),
        ));
        Ok(())
    }

    /// Waits until the name has this IPv6 address, counted from the moment when the address is usable.
    fn named6(&mut self, what: &'static str, addr: Ipv6Addr) -> Result<()> {
        self.say(&format!("IPv6: {addr}; the kernel first makes sure that nobody else has it"));
        let since = self.lab.wait_dad(addr)?;
        let named = self.lab.wait_named(addr.into(), PATIENCE)?;
        let took = ms(named.saturating_duration_since(since));
        self.quote();
        self.good(&format!("{NAME} is {addr} too, {took} after the address was usable"));
        self.times.push((what, format!("name right after {took:>8}")));
        self.changes += 1;
        Ok(())
    }

    fn summary(&mut self) -> Result<()> {
        println!("\n{HEAD}In short{HEAD:#}");
        for (what, times) in &self.times {
            println!("  {what:<22} {times}");
        }
        let (all, good) = self.dns.count();
        println!("  updates sent           {all}: {good} carried out, {} met a failing provider", all - good);
        println!("  the whole story        {:.1} s", self.start.elapsed().as_secs_f64());
        ensure!(good == self.changes, "{good} updates were carried out for {} changes", self.changes);
        println!("\n{GOOD}All of it worked.{GOOD:#} The three machines are gone with this line.");
        Ok(())
    }

    fn chapter(&mut self, title: &str) {
        thread::sleep(BREATH);
        self.quote();
        self.head(title);
    }

    fn head(&self, title: &str) {
        println!("\n{HEAD}{:6.2} s  {title}{HEAD:#}", self.start.elapsed().as_secs_f64());
    }

    fn say(&self, text: &str) {
        println!("{:6.2} s  {text}", self.start.elapsed().as_secs_f64());
    }

    fn good(&self, text: &str) {
        println!("{:6.2} s  {GOOD}ok{GOOD:#}  {text}", self.start.elapsed().as_secs_f64());
    }

    /// Prints what the agent has said since the last time.
    fn quote(&mut self) {
        let lines = self.agent.lines();
        for line in lines.iter().skip(self.told) {
            println!("{FAINT}          | {}{FAINT:#}", plain(&line.text));
        }
        self.told = lines.len();
    }
}

/// A log line without the name of the module that wrote it.
fn plain(line: &str) -> String {
    match line.split_once(" [porchlight").and_then(|(level, rest)| Some((level, rest.split_once("] ")?.1))) {
        Some((level, text)) => format!("{:<5} {}", level.trim(), text.trim_end()),
        None => line.trim_end().to_string(),
    }
}

/// A duration as people read it.
fn ms(time: Duration) -> String {
    if time < 10 * SECOND {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}
