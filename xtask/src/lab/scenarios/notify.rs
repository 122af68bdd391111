//! Notifications: what happens is told by every channel, in each vendor's form; a dead channel costs nothing; nothing
//! secret is said.

use super::Scenario;
use crate::lab::process::{self, Finished};
use crate::lab::*;
use crate::peers::recorder::{Authority, Recorder, Seen as Request};
use anyhow::{ensure, Context, Result};
use domain::base::iana::Rcode;
use serde_json::{json, Value};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// Messages come within this time: five seconds are waited for more to tell.
const TOLD_WITHIN: Duration = Duration::from_secs(20);
/// One answer of the stand-in.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Where a server is that takes connections from nobody.
const DEAD4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 81);
/// The camera's place.
const PLACE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);
/// The stand-in, and the messengers that it plays.
const STAND_IN: &str = include_str!("notify.py");
/// See [`STAND_IN`].
const MESSENGERS: [&str; 9] =
    ["ntfy", "telegram", "bark", "dingtalk", "feishu", "serverchan", "discord", "slack", "hook"];
/// By which name the stand-in knows each secret.
const SECRETS: [(&str, &str); 14] = [
    ("topic", "mycamtopic"),
    ("ntfy_token", "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2"),
    ("bot", "123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11"),
    ("chat", "-1001234"),
    ("bark", "ynJ5Ft4atkMkWeo2PAvFhF"),
    ("ding", "ding0a1b2c3d4e5f"),
    ("ding_secret", "SECding+secret/0123"),
    ("feishu", "f0e1d2c3-b4a5-9687"),
    ("feishu_secret", "feishuSecret=987"),
    ("sendkey", "SCT1234TabcdefGHIJ"),
    ("discord", "disc0rd-Webhook-Token"),
    ("slack", "sl4ckWebhookTokenXYZ"),
    ("hook", "h00k-in-the-path"),
    ("hook_key", "h00k-in-a-header"),
];

/// The scenario.
pub const NOTIFY: Scenario = Scenario {
    name: "notify",
    about: "what happens is told by eleven channels in each vendor's form; a dead one costs nothing; no secret is said",
    needs: &["python3", "unshare"],
    limit: Duration::from_secs(150),
    slow: false,
    run,
};

/// What the stand-in was asked, and what it answered: host, request, status.
type Told = Arc<Mutex<Vec<(String, Request, u16)>>>;

struct Story<'a> {
    lab: &'a Lab,
    dns: Nameserver,
    /// The camera's stream, which asks for no password at first.
    streams: RtspCamera,
    told: Told,
    /// All that was said anywhere.
    said: String,
}

fn run(lab: &mut Lab) -> Result<Summary> {
    let dns = lab.nameserver()?;
    lab.wan_up()?;
    lab.wait_dad(WAN6)?;
    let camera = lab.lan_host("camera", CAMERA_MAC, PLACE)?;
    lab.write_leases(&[camera.lease(PLACE)])?;
    let _front = Camera::start(&camera.ns, 554, "front")?;
    let streams = RtspCamera::start(&camera.ns, 5554, "front")?;
    streams.set_password(false);
    for host in MESSENGERS {
        dns.publish(&format!("{host}.{ZONE}"), WEB4.into())?;
    }
    dns.publish(&format!("dead.{ZONE}"), DEAD4.into())?;
    lab.internet.ip(&format!("addr add {DEAD4}/32 dev lo"))?;
    lab.internet.nft(&format!(
        "table ip dead {{ chain in {{ type filter hook input priority 0; ip daddr {DEAD4} drop; }}; }}\n"
    ))?;
    let authority = Authority::new()?;
    authority.write_pem(&lab.root.join("etc/porchlight/ca.pem"))?;
    let told = Told::default();
    let answers = told.clone();
    let answer = Arc::new(move |request: &Request| stand_in(request, &answers));
    let _recorder = lab.internet.enter(|| Recorder::start(WEB4.into(), authority, answer))?;
    let programs = Programs::write()?;
    lab.write_config(&config(lab, &programs))?;
    let mut story = Story { lab, dns, streams, told, said: String::new() };

    let mut lines = vec![story.all_hear(&programs)?];
    lines.push(story.by_hand(&programs)?);
    lines.push(story.failing_is_told(&programs)?);
    lines.push(story.no_secret_is_said()?);
    Ok(Summary(lines))
}

/// A messenger's answer.
fn stand_in(request: &Request, told: &Told) -> (u16, String) {
    let secrets: Value = SECRETS.iter().map(|(name, secret)| (name.to_string(), json!(secret))).collect();
    let text = json!({"method": request.method, "target": request.target, "headers": request.headers,
        "body": String::from_utf8_lossy(&request.body)});
    let mut python = Command::new("python3");
    python.args(["-c", STAND_IN]).arg(secrets.to_string());
    let done = process::run(&mut python, Some(&text.to_string()), ANSWER_LIMIT).and_then(Finished::success);
    let (status, body) = match &done {
        Ok(said) => said.split_once('\n').unwrap_or((said, "")),
        Err(error) => {
            eprintln!("the stand-in failed: {error:#}");
            ("500", "")
        }
    };
    let (status, host) = (status.parse().unwrap_or(500), request.header("host").unwrap_or_default());
    let host = host.split('.').next().unwrap_or_default().to_string();
    told.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((host, request.clone(), status));
    (status, body.trim_end().to_string())
}

/// The two channels that are programs, and what they leave.
struct Programs {
    sendmail: PathBuf,
    mails: PathBuf,
    script: PathBuf,
    calls: PathBuf,
}

impl Programs {
    fn write() -> Result<Programs> {
        let at = |name: &str| Path::new(seal::DIR).join(name);
        let all = Programs {
            sendmail: at("sendmail"),
            mails: at("mails"),
            script: at("script"),
            calls: at("calls"),
        };
        let mails = all.mails.display();
        let calls = all.calls.display();
        let texts = [
            (&all.sendmail, format!("#!/bin/sh\n{{ echo \"args $*\"; cat; echo .; }} >> {mails}\n")),
            (&all.script, format!("#!/bin/sh\n{{ env | grep ^PORCHLIGHT_; echo args $#; }} >> {calls}\n")),
        ];
        for (path, text) in texts {
            fs::write(path, text)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(all)
    }

    fn left(&self) -> (String, String) {
        let read = |path: &PathBuf| fs::read_to_string(path).unwrap_or_default();
        (read(&self.mails), read(&self.calls))
    }
}

/// Every channel; a second mapping, to a stream that asks for no password.
fn config(lab: &Lab, programs: &Programs) -> String {
    let s = |name: &str| SECRETS.iter().find(|(known, _)| *known == name).map_or("?", |(_, secret)| *secret);
    let all = "list on 'changed'\n\tlist on 'exposed'\n\tlist on 'refused'\n\tlist on 'failing'\n\tlist on 'recovered'";
    let channel = |kind: &str, name: &str, lines: &[String]| {
        let lines: String = lines.iter().map(|line| format!("\t{line}\n")).collect();
        format!("\nconfig notify '{name}'\n\toption kind '{kind}'\n\toption title 'Lab'\n\t{all}\n{lines}")
    };
    let url = |host: &str, path: &str| format!("option url 'https://{host}.{ZONE}{path}'");
    let details = || "option details '1'".to_string();
    let option = |name: &str, value: &str| format!("option {name} '{value}'");
    let channels = [
        // This one is public: no names, no addresses.
        channel(
            "ntfy",
            "ntfy",
            &[url("ntfy", &format!("/{}", s("topic"))), option("token", s("ntfy_token"))],
        ),
        channel(
            "telegram",
            "telegram",
            &[url("telegram", ""), option("token", s("bot")), option("chat_id", s("chat")), details()],
        ),
        channel("bark", "bark", &[url("bark", "/"), option("token", s("bark")), details()]),
        channel(
            "dingtalk",
            "dingtalk",
            &[
                url("dingtalk", &format!("/robot/send?access_token={}", s("ding"))),
                option("secret", s("ding_secret")),
                details(),
            ],
        ),
        channel(
            "feishu",
            "feishu",
            &[
                url("feishu", &format!("/open-apis/bot/v2/hook/{}", s("feishu"))),
                option("secret", s("feishu_secret")),
                details(),
            ],
        ),
        channel(
            "serverchan",
            "serverchan",
            &[url("serverchan", ""), option("token", s("sendkey")), details()],
        ),
        channel(
            "discord",
            "discord",
            &[url("discord", &format!("/api/webhooks/1234/{}", s("discord"))), details()],
        ),
        channel(
            "slack",
            "slack",
            &[url("slack", &format!("/services/T0000/B0000/{}", s("slack"))), details()],
        ),
        channel(
            "webhook",
            "hook",
            &[
                url("hook", &format!("/in/{}", s("hook"))),
                option("method", "put"),
                format!("list header 'X-Key: {}'", s("hook_key")),
                option("body", r#"{"what":"{event}","say":"{text}","who":"{record} {camera} {address}"}"#),
                details(),
            ],
        ),
        channel(
            "email",
            "mail",
            &[
                option("to", "owner@example.com"),
                option("program", &programs.sendmail.display().to_string()),
                details(),
            ],
        ),
        channel("script", "script", &[option("program", &programs.script.display().to_string()), details()]),
        channel("slack", "dead", &[url("dead", &format!("/services/T0000/B0000/{}", s("slack")))]),
    ];
    let home = lab.config().replace(
        "option mapping_backend",
        "option log_level 'trace'\n\toption cacert '/etc/porchlight/ca.pem'\n\toption timeout '8s'\n\toption mapping_backend",
    );
    format!(
        "{home}\nconfig mapping 'second'\n\toption camera 'front'\n\toption src_dport '8555'\n\toption dest_port '5554'\n{}",
        channels.concat()
    )
}

impl Story<'_> {
    /// The requests that were answered with success since then, by messenger.
    fn heard(&self, from: usize) -> Vec<(String, Request)> {
        let told = self.told.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let good = told.iter().skip(from).filter(|(_, _, status)| (200..300).contains(status));
        good.map(|(host, request, _)| (host.clone(), request.clone())).collect()
    }

    fn count(&self) -> usize {
        self.told.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).len()
    }

    /// Waits until all channels but the dead one have told of this.
    fn wait_all(&self, programs: &Programs, from: usize, word: &str) -> Result<()> {
        let hears = |host: &str| {
            self.heard(from).iter().any(|(known, request)| {
                known == host && (host != "hook" || String::from_utf8_lossy(&request.body).contains(word))
            })
        };
        until(&format!("every channel tells of {word}"), TOLD_WITHIN, || {
            let (mails, calls) = programs.left();
            let by_programs = mails.contains("Subject: Lab: ") && calls.contains(word);
            (by_programs && MESSENGERS.iter().all(|host| hears(host))).then_some(())
        })
        .with_context(|| {
            let told = self.told.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let all = told.iter().map(|(host, request, status)| {
                format!("{host} {status} {} {}", request.target, String::from_utf8_lossy(&request.body))
            });
            format!("told: {:#?}\nand {:?}", all.collect::<Vec<_>>(), programs.left())
        })
    }

    /// A new address, an open port and a camera that is not proven, in one message; meanwhile the WAN moves.
    fn all_hear(&mut self, programs: &Programs) -> Result<String> {
        let lab = self.lab;
        let start = Instant::now();
        let mut agent = lab.start_agent()?;
        self.wait_all(programs, 0, "refused")?;
        let took = start.elapsed();
        // The dead one's message is on its way: nobody takes its connection, and it is waited for 8 s.
        let next = Ipv4Addr::new(203, 0, 113, 11);
        let from = Instant::now();
        lab.wan_readdress4(next)?;
        let moved = lab.wait_reachable("front", next.into(), SECOND)?.reached - from;
        until("status names the dead channel", TOLD_WITHIN, || {
            let text = lab.verb(&["status"]).ok()?.stdout;
            text.contains("notify   dead: ").then_some(())
        })?;
        let heard = self.heard(0);
        for host in MESSENGERS {
            let count = heard.iter().filter(|(known, _)| known == host).count();
            ensure!(count == 1, "{host} got {count} messages for what happened at once");
        }
        let of = |host: &str| {
            let request = heard.iter().find(|(known, _)| known == host).map(|(_, request)| request);
            request.map(|request| String::from_utf8_lossy(&request.body).into_owned()).unwrap_or_default()
        };
        for word in [NAME, "front", "203.0.113", "192.168.1"] {
            ensure!(!of("ntfy").contains(word), "a public topic hears of {word}: {}", of("ntfy"));
            ensure!(of("slack").contains(word), "details hold no {word}: {}", of("slack"));
        }
        let hook: Value = serde_json::from_str(&of("hook"))?;
        ensure!(of("slack").contains("streams to anyone"), "the open camera is not told of: {}", of("slack"));
        for word in ["changed", "exposed", "refused"] {
            ensure!(hook["what"].as_str().is_some_and(|what| what.contains(word)), "no {word}: {hook}");
        }
        let (mails, calls) = programs.left();
        ensure!(mails.starts_with("args -t -i\n") && mails.contains("\nTo: owner@example.com\n"), "{mails}");
        ensure!(calls.contains("PORCHLIGHT_CAMERA=front") && calls.contains("args 0"), "{calls}");
        self.take_all(Some(&agent))?;
        agent.stop(SECOND * 5)?;
        self.said += &agent.tail(usize::MAX);
        Ok(format!(
            "11 channels told of changed, exposed and refused in one message each, {:.1} s after the start; with a \
             channel whose server is dead a new address is reachable after {} ms",
            took.as_secs_f64(),
            moved.as_millis()
        ))
    }

    /// `porchlight notify test`.
    fn by_hand(&mut self, programs: &Programs) -> Result<String> {
        let (from, mails) = (self.count(), programs.left().0.len());
        for (args, code, says) in [
            (&["notify", "test", "dingtalk"][..], 0, "dingtalk (dingtalk): sent"),
            (&["notify", "test", "nobody"], 2, "no good section notify called nobody"),
            (&["notify"], 2, "notify test"),
            (&["notify", "test"], 1, "dead (slack): "),
        ] {
            let Finished { line, status, stdout, stderr } = self.lab.verb(args)?;
            ensure!(status.code() == Some(code), "`{line}`: {status}, not {code}: {stdout}{stderr}");
            let all = stdout + &stderr;
            ensure!(all.contains(says), "`{line}` says: {all}");
            self.said += &all;
        }
        ensure!(self.heard(from).len() == MESSENGERS.len() + 1, "not every channel was tested");
        ensure!(programs.left().0.len() > mails, "no mail was sent");
        // A wrong secret is told in the service's own words.
        let text = fs::read_to_string(self.lab.config_file())?;
        self.lab.write_config(&text.replace("SECding+secret", "SECdong+secret"))?;
        let told = self.lab.verb(&["notify", "test", "dingtalk"])?;
        self.lab.write_config(&text)?;
        ensure!(
            told.status.code() == Some(1) && told.stdout.contains("code 310000: sign not match"),
            "a wrong secret: {}",
            told.stdout
        );
        Ok("notify test: 0 for one, 1 with a dead one among all, 2 for nobody; a wrong secret in DingTalk's words".into())
    }

    /// A provider that fails is told after ten minutes, once, and that it is over: in passes, whose clock is ahead.
    fn failing_is_told(&mut self, programs: &Programs) -> Result<String> {
        if !Path::new("/proc/self/ns/time").exists() {
            return Ok(
                "SKIPPED, this kernel has no time namespaces: what fails for ten minutes is told".into()
            );
        }
        let from = self.count();
        let text = fs::read_to_string(self.lab.config_file())?;
        let without_dead = text.split("\nconfig notify 'dead'").next().unwrap_or_default();
        self.lab.write_config(without_dead)?;
        self.dns.set_mood(Mood::Refuse(Rcode::SERVFAIL));
        self.lab.wan_readdress4(Ipv4Addr::new(203, 0, 113, 12))?;
        let begun = self.pass(700)?;
        ensure!(!begun.contains("told (failing)"), "told at once: {begun}");
        ensure!(self.pass(1400)?.contains("told (failing)"), "not told after ten minutes");
        let again = self.pass(2200)?;
        ensure!(!again.contains("told (failing)"), "told twice: {again}");
        self.dns.set_mood(Mood::Well);
        self.streams.set_password(true);
        let over = self.pass(4000)?;
        ensure!(over.contains("told (recovered"), "the end is not told: {over}");
        let hook = |word: &str| {
            let of = |(host, request): &(String, Request)| {
                host == "hook" && String::from_utf8_lossy(&request.body).contains(word)
            };
            self.heard(from).iter().filter(|told| of(told)).count()
        };
        ensure!((hook("failing"), hook("recovered")) == (1, 1), "the hook heard: {:?}", self.heard(from));
        let script = programs.left().1;
        ensure!(script.contains("asks for a password again"), "the camera's password is not told: {script}");
        ensure!(programs.left().1.contains("could not be published for 10 minutes"), "{}", programs.left().1);
        Ok("a provider that fails for ten minutes is told once, and its end, and that the camera asks for a password, by passes \
             without a daemon"
            .into())
    }

    /// A pass whose clock is so many seconds ahead; what it says.
    fn pass(&mut self, ahead: u32) -> Result<String> {
        let mut command = Command::new("unshare");
        command.args(["--time", "--boottime", &ahead.to_string(), "--fork"]).arg(&self.lab.program);
        command.arg("--root").arg(&self.lab.root).arg("--config").arg(self.lab.config_file());
        let Finished { stdout, stderr, .. } =
            self.lab.router.run(command.arg("once"), Duration::from_secs(40))?;
        self.said += &stdout;
        self.said += &stderr;
        self.take_all(None)?;
        Ok(stdout + &stderr)
    }

    /// What can be asked, and what is left.
    fn take_all(&mut self, agent: Option<&Agent>) -> Result<()> {
        let mut verbs = vec![&["check"][..]];
        verbs.extend(agent.map(|_| [&["status"][..], &["status", "--json"]]).into_iter().flatten());
        for args in verbs {
            let Finished { stdout, stderr, .. } = self.lab.verb(args)?;
            self.said += &(stdout + &stderr);
        }
        self.said += &fs::read_to_string(self.lab.root.join("var/run/porchlight/state"))?;
        if let Some(agent) = agent {
            let arguments = fs::read(format!("/proc/{}/cmdline", agent.pid()))?;
            self.said += &String::from_utf8_lossy(&arguments).replace('\0', " ");
        }
        Ok(())
    }

    /// In all of it: no secret, in no coding, and nothing of an address but scheme and host.
    fn no_secret_is_said(&self) -> Result<String> {
        let said = &self.said;
        ensure!(said.contains("POST https://slack.example.com"), "the requests are not in the log");
        ensure!(said.len() > 20_000, "not talkative: {} bytes", said.len());
        let own = SECRETS.iter().filter(|(name, _)| *name != "chat").map(|(_, secret)| *secret);
        let paths = [
            "/robot/send",
            "access_token",
            "/services/",
            "open-apis",
            "webhooks/1234",
            "sendMessage",
            "/in/",
        ];
        for secret in own.chain(paths) {
            let coded =
                secret.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D").replace(':', "%3A");
            for form in [secret, &coded] {
                if let Some(line) = said.lines().find(|line| line.contains(form)) {
                    anyhow::bail!("{secret} is told: {line}");
                }
            }
        }
        Ok(format!(
            "{} KiB of log at trace, status, check, state and arguments: no secret, no path",
            said.len() / 1024
        ))
    }
}
