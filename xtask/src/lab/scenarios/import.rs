//! Who changes over gets what he had: inadyn and ddclient make their updates, their configurations are imported and switched
//! on, and then ours makes the same ones, to the same services by the same names and accounts.

use super::Scenario;
use crate::bench::counts::mirror::decoded;
use crate::lab::*;
use crate::peers::names::Names;
use crate::peers::recorder::{Authority, Recorder, Seen as Request};
use crate::peers::{ddclient, inadyn};
use anyhow::{ensure, Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// The scenario.
pub const IMPORT: Scenario = Scenario {
    name: "import",
    about: "inadyn and ddclient update, their configurations are imported, and ours updates the same",
    needs: &["inadyn", "ddclient", tools::PERL_TLS],
    limit: Duration::from_secs(120),
    slow: false,
    run,
};

/// One pass of a peer, at the longest.
const PASS: Duration = Duration::from_secs(40);
/// All of our requests are there within this time.
const OURS_WITHIN: Duration = Duration::from_secs(20);
/// Below the agent's root.
const TRUST: &str = "etc/porchlight/authority.pem";
const OFF: &str = "\toption enabled '0'\n";

/// What an update says, for one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Update {
    tls: bool,
    host: String,
    path: String,
    login: String,
    name: String,
    /// All other parameters, decoded.
    rest: BTreeSet<String>,
}

struct Story<'a> {
    lab: &'a Lab,
    recorder: Recorder,
    names: Names,
    trust: PathBuf,
}

fn run(lab: &mut Lab) -> Result<Summary> {
    // IPv4 alone: inadyn 2.10 takes whichever address of the device comes last, of whatever family.
    lab.wan_device()?;
    lab.router.sysctl("net.ipv6.conf.wan0.disable_ipv6", "1")?;
    lab.wan_add4(WAN4)?;
    let trust = lab.root.join(TRUST);
    let authority = Authority::new()?;
    authority.write_pem(&trust)?;
    // Every service is this machine; what is published below example.com is there at once.
    fs::write(lab.router.etc("resolv.conf"), "nameserver 127.0.0.1\n")?;
    lab.write_resolver("nameserver 127.0.0.1\n")?;
    let names = lab.router.enter(Names::serve)?;
    let told = names.clone();
    let answer = Arc::new(move |seen: &Request| (200, content(seen, &told)));
    let recorder = lab.router.enter(|| Recorder::start([127, 0, 0, 1].into(), authority, answer))?;
    let story = Story { lab, recorder, names, trust };
    let inadyn = story.compare("inadyn", &inadyn_conf(&story.trust), &inadyn_command(lab))?;
    let ddclient = story.compare("ddclient", &ddclient_conf(&story.trust), &ddclient_command(lab))?;
    Ok(Summary(vec![inadyn, ddclient]))
}

/// Five accounts and a request of one's own; passwords with all that makes trouble.
fn inadyn_conf(trust: &Path) -> String {
    let account = |provider: &str, rest: &str| format!("provider {provider} {{\n{rest}}}\n");
    format!(
        "# all at once\nperiod = 300\nverify-address = false\niface = wan0\nca-trust-file = \"{}\"\n{}{}{}{}{}",
        trust.display(),
        account("default@dyndns.org", "  username = alice\n  password = \"s3cret/+'\\\" \\\\ #1\"\n  hostname = { a1.example.com, \"a2.example.com\" }\n"),
        account("default@no-ip.com:1", "  username = bob\n  password = 'pass\\'word, 1'\n  hostname = b1.example.com\n"),
        account("default@no-ip.com:2", "  username = carol\n  password = $money\n  hostname = c1.example.com\n"),
        account("default@duckdns.org", "  username = duck-token\n  password = unused\n  hostname = my-yard.duckdns.org\n"),
        "custom own {\n  username = dave\n  password = \"s3cret/+\"\n  ddns-server = ddns.example.net\n  \
         ddns-path = \"/up/date?name=%h&addr=%i\"\n  hostname = d1.example.com\n}\n",
    )
}

fn inadyn_command(lab: &Lab) -> impl Fn(&Path) -> Command {
    let cache = lab.root.join("tmp/inadyn");
    move |config| {
        let mut command = Command::new(inadyn::PROGRAM);
        command.args(["--once", "--force", "--foreground", "--no-pidfile", "--loglevel=debug"]);
        command.arg(format!("--config={}", config.display())).arg(format!("--cache-dir={}", cache.display()));
        command
    }
}

/// Defaults and overrides, continued lines, quotes, hosts in all places.
fn ddclient_conf(trust: &Path) -> String {
    format!(
        "daemon=300 # as the sample has it\nssl=yes\nssl_ca_file={}\nuse=if, if=wan0\nprotocol=dyndns2\n\
         login=alice\npassword='s3cret/+, #1'\ne1.example.com,e2.example.com\n\
         protocol=noip, login=bob, \\\npassword=it-s\"a#word \\\nf1.example.com\n\
         protocol=namecheap, login=example.com, password='$money' g1.example.com\n\
         protocol=duckdns, password='duck-token' my-yard\n\
         protocol=dyndns2, server=ddns.example.net, script=/up/date, login=dave, password='own' h1.example.com\n",
        trust.display()
    )
}

fn ddclient_command(lab: &Lab) -> impl Fn(&Path) -> Command {
    let cache = lab.root.join("tmp/ddclient.cache");
    move |config| {
        let mut command = Command::new(ddclient::PROGRAM);
        command.args(["-daemon=0", "-noquiet", "-verbose"]);
        command.arg(format!("-file={}", config.display())).arg(format!("-cache={}", cache.display()));
        command
    }
}

impl Story<'_> {
    /// The peer's updates, and ours by its configuration.
    fn compare(&self, peer: &str, text: &str, command: &dyn Fn(&Path) -> Command) -> Result<String> {
        let file = self.lab.root.join(format!("etc/{peer}.conf"));
        fs::write(&file, text)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        fs::create_dir_all(self.lab.root.join("tmp").join(peer))?;
        self.recorder.take();
        let said = self.lab.router.run(&mut command(&file), PASS)?;
        let theirs = updates(&self.recorder.take());
        ensure!(
            theirs.len() >= 6,
            "{peer} made only {} updates:\n{}\n{}",
            theirs.len(),
            said.stdout,
            said.stderr
        );
        self.names.clear();
        self.import(peer, &file)?;
        let ours = self.ours(&theirs)?;
        let (only_theirs, only_ours): (Vec<_>, Vec<_>) =
            (theirs.difference(&ours).collect(), ours.difference(&theirs).collect());
        ensure!(
            only_theirs.is_empty() && only_ours.is_empty(),
            "only {peer} sent {only_theirs:#?}, only we sent {only_ours:#?}"
        );
        self.names.clear();
        Ok(format!(
            "{peer}: {} updates at {} services; by its configuration ours made the same: host, path, account, name, address",
            theirs.len(),
            services(&theirs)
        ))
    }

    /// Adds the configuration, looks whether it is what it should be, and switches it on.
    fn import(&self, peer: &str, file: &Path) -> Result<()> {
        let config = self.lab.config();
        let head = config.split("config record").next().unwrap_or_default();
        let before = head.replace("'nft'", &format!("'none'\n\toption cacert '/{TRUST}'"))
            + "# the last line has no end";
        self.lab.write_config(&before)?;
        let _ = fs::remove_file(self.lab.root.join("var/run/porchlight/state"));
        let path = file.display().to_string();
        let shown = self.lab.verb(&["import", peer, &path])?.success()?;
        let said = self.lab.verb(&["import", peer, &path, "--write"])?;
        ensure!(said.status.success(), "import {peer} --write: {}{}", said.stdout, said.stderr);
        ensure!(
            !said.stderr.contains("s3cret") && !said.stderr.contains("money"),
            "a secret in {}",
            said.stderr
        );
        let written = fs::read_to_string(self.lab.config_file())?;
        let added = written.strip_prefix(&(before + "\n")).context("what was there has changed")?;
        let count = added.matches("\nconfig ").count();
        ensure!(count == added.matches(OFF).count() && count >= 5, "not all of it is switched off:\n{added}");
        ensure!(shown.ends_with(&added.replace(OFF, "")), "what was shown is not what was written:\n{shown}");
        let mode = fs::metadata(self.lab.config_file())?.permissions().mode() & 0o777;
        ensure!(mode == 0o600, "others may read it: mode {mode:o}");
        self.lab.verb(&["import", peer, &path, "--write"])?;
        ensure!(fs::read_to_string(self.lab.config_file())? == written, "it was added twice");
        self.lab.write_config(&written.replace(OFF, ""))?;
        self.lab.verb(&["check"])?.success().map(drop)
    }

    /// What our agent sends, until it has sent as much as the peer.
    fn ours(&self, theirs: &BTreeSet<Update>) -> Result<BTreeSet<Update>> {
        let mut agent = self.lab.start_agent()?;
        let mut seen = Vec::new();
        let all = until("as many updates as the peer made", OURS_WITHIN, || {
            seen.extend(self.recorder.take());
            (updates(&seen).len() >= theirs.len()).then_some(())
        });
        agent.stop(Duration::from_secs(5))?;
        seen.extend(self.recorder.take());
        let ours = updates(&seen);
        all.with_context(|| format!("it sent {ours:#?}, the peer {theirs:#?}"))?;
        Ok(ours)
    }
}

/// One for each name, without what tests/peers.rs says that ours leaves out on purpose.
fn updates(seen: &[Request]) -> BTreeSet<Update> {
    let mut found = BTreeSet::new();
    for request in seen {
        let parts: Vec<String> =
            request.query().split('&').filter(|part| !part.is_empty()).map(decoded).collect();
        let named =
            |part: &&String| ["hostname=", "domains=", "name="].iter().any(|key| part.starts_with(key));
        let names =
            parts.iter().find(named).and_then(|part| part.split_once('=')).map_or("", |(_, names)| names);
        let rest = parts.iter().filter(|part| !named(part) && !part.starts_with("system="));
        for name in names.split(',') {
            found.insert(Update {
                tls: request.tls,
                host: request.header("host").unwrap_or_default().into(),
                path: request.path().into(),
                login: request.header("authorization").unwrap_or_default().into(),
                name: name.into(),
                rest: rest.clone().cloned().collect(),
            });
        }
    }
    found
}

fn services(updates: &BTreeSet<Update>) -> usize {
    updates.iter().map(|update| &update.host).collect::<BTreeSet<_>>().len()
}

/// An answer that makes everybody content, after the names were published.
fn content(seen: &Request, names: &Names) -> String {
    for update in updates(std::slice::from_ref(seen)) {
        names.publish(&update.name, WAN4);
    }
    match seen.header("host").unwrap_or_default() {
        "www.duckdns.org" => "OK".into(),
        "dynamicdns.park-your-domain.com" => "<ErrCount>0</ErrCount>".into(),
        _ => format!("good {WAN4}\n").repeat(seen.target.matches(',').count() + 1),
    }
}
