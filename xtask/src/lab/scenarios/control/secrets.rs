//! Where a secret must not be: in anything that the agent says or leaves.

use super::{Place, DONE_WITHIN, PLACE};
use crate::lab::process::Finished;
use crate::lab::*;
use crate::peers::recorder::{Authority, Recorder, Seen as Request};
use anyhow::{bail, ensure, Context, Result};
use std::fs;
use std::sync::Arc;

/// Secrets that are looked for, by what each is. Those at the end are no secret options: addresses and paths that lead
/// to somebody are not said by the log either.
const SECRETS: [(&str, &str); 19] = [
    ("tsig_secret", SECRET),
    ("password", "pass/word+hunter2"),
    ("token in a header", "tok-0123456789abcdef"),
    ("token in a path", "path-secret-fedcba98"),
    ("cloudflare's token", "cf-token-a1b2c3d4e5"),
    ("token in a file", "file-token-99887766"),
    ("token of the environment", "env-token-55443322"),
    ("password before a host", "userinfo-pw-1x2y3z"),
    ("password in a body", "body-pw-\"quoted\"-77"),
    ("key that signs", "ovh-app-secret-0a1b2c"),
    ("key that is sent beside", "ovh-consumer-key-3d4e"),
    ("topic of ntfy", "topic-mycam-31337"),
    ("bot's token", "987654:bot-token-ABCDEF"),
    ("robot's address", "ding-access-0f0f0f0f"),
    ("robot's secret", "SEC-ding-sign-1234567"),
    ("hook's path", "hook-path-cafebabe"),
    ("hook's header", "hook-key-deadbeef01"),
    ("witness's path", "whoami-key-24681357"),
    ("camera's path", "campw-13579bdf"),
];

/// A second camera's place.
const DOOR: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 21);

/// Which of them it is.
fn secret(what: &str) -> &'static str {
    SECRETS.iter().find(|(known, _)| *known == what).map_or("?", |(_, secret)| *secret)
}

/// What the log says at least, at level debug: one of each that goes out, and its answer.
const TOLD: [&str; 8] = [
    " record dyn GET https://web.example.com -> 400, ",
    "DNS 198.51.100.53:53: cam.example.com A? -> answer NOERROR aa: cam.example.com A ",
    ": UPDATE example.com: ",
    " record cloud GET https://web.example.com -> 400, ",
    "notify hook POST https://web.example.com -> 400, ",
    "notify bot POST https://web.example.com -> 400, ",
    ": DESCRIBE -> 401 Unauthorized (",
    "nft -f - (given ",
];

/// A message is sent within this time after there is one to tell.
const TOLD_WITHIN: Duration = Duration::from_secs(20);

/// Everything that the agent says, at its most talkative, holds no secret.
pub fn secrets(lab: &mut Lab) -> Result<Summary> {
    let mut place = Place::make(lab)?;
    place.dns.publish("web.example.com", WEB4.into())?;
    let authority = Authority::new()?;
    authority.write_pem(&lab.root.join("etc/porchlight/ca.pem"))?;
    let recorder = lab.internet.enter(|| Recorder::start(WEB4.into(), authority, Arc::new(tell_tale)))?;
    write_secret(&lab.root.join("etc/porchlight/file.token"), secret("token in a file"))?;
    let camera = lab.lan_host("door", "02:00:00:00:00:21", DOOR)?;
    let _door = RtspCamera::start(&camera.ns, 554, "door")?;
    lab.write_leases(&[place.host.lease(PLACE), camera.lease(DOOR)])?;
    lab.write_config(&talkative(lab))?;
    let mut run = lab.command();
    let mut agent =
        lab.start_agent_as(run.arg("run").env("DYN_TOKEN", secret("token of the environment")))?;
    let mut said = String::new();
    for _ in 0..3 {
        let addr = place.readdress()?;
        lab.wait_named(addr.into(), DONE_WITHIN)?;
        place.verb(&["trigger"], 0)?;
        // Answered when all was tried, so that no request is under way when the address goes.
        said += &place.verb(&["once"], 1)?;
        ensure!(recorder.take().len() >= 3, "not every service was asked");
        said += &everything(&place, &agent)?;
    }
    let hooked = |request: &Request| request.target.contains("hook-path") || request.target.contains("/bot");
    let (mut log, mut asked) = (String::new(), false);
    let told = until("the channels were told", TOLD_WITHIN, || {
        log = agent.tail(usize::MAX);
        asked |= recorder.take().iter().any(hooked);
        (asked && TOLD.iter().all(|part| log.contains(part))).then_some(())
    });
    told.with_context(|| {
        format!("not told: {:?}", TOLD.iter().filter(|part| !log.contains(*part)).collect::<Vec<_>>())
    })?;
    said += &place.verb(&["run"], 1)?;
    // A slip of the pen beside a secret.
    let slips = [
        ("password '", "password ''x"),
        ("token '", "tokem '"),
        ("token '", "token_file '"),
        ("token 'cf", "token 'cf\n"),
    ];
    for (right, wrong) in slips {
        place.reload(&agent, &talkative(lab).replacen(right, wrong, 1), "onfiguration")?;
        said += &everything(&place, &agent)?;
    }
    said += &agent.tail(usize::MAX);
    agent.stop(SECOND)?;
    said += &agent.tail(usize::MAX);
    ensure!(said.len() > 10_000 && said.contains("web.example.com"), "the agent was not talkative: {said}");
    let log = agent.tail(usize::MAX);
    for (what, secret) in SECRETS {
        // What is no secret option is shown to the owner, and not logged.
        let said = if what.starts_with("camera's") { &log } else { &said };
        for coded in [secret.to_string(), base64(secret), base64(&format!("me:{secret}")), percent(secret)] {
            if let Some(at) = said.find(&coded) {
                let from = said.get(..at).and_then(|text| text.rfind('\n')).unwrap_or(0);
                let line = said.get(from..).unwrap_or_default().lines().nth(1).unwrap_or_default();
                bail!("{what} is told ({coded}): {line}");
            }
        }
    }
    Ok(Summary::line(format!(
        "{} KiB of log, status, check, state file and arguments, with each kind of request: none of {} secrets, in no \
         coding",
        said.len() / 1024,
        SECRETS.len()
    )))
}

/// A service that repeats what it was told, as some do in their complaints.
fn tell_tale(request: &Request) -> (u16, String) {
    let headers: Vec<String> =
        request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    (400, format!("bad request {} with {}", request.target, headers.join(" | ")))
}

/// Every kind of secret, in every kind of place, at the level that tells most.
fn talkative(lab: &Lab) -> String {
    let channel = |name: &str, kind: &str, lines: &[&str]| {
        let lines: String = lines.iter().map(|line| format!("\t{line}\n")).collect();
        format!("\nconfig notify '{name}'\n\toption kind '{kind}'\n\tlist on 'changed'\n{lines}")
    };
    let [tsig, password, header, path, cloudflare] =
        ["tsig_secret", "password", "token in a header", "token in a path", "cloudflare's token"].map(secret);
    let home = lab
        .config()
        .replace("tsig_secret_file '/etc/porchlight/tsig.key'", &format!("tsig_secret '{tsig}'"))
        .replace(
            "option mapping_backend",
            "option log_level 'trace'\n\toption cacert '/etc/porchlight/ca.pem'\n\toption mapping_backend",
        )
        .replace(
            "list ip_source 'interface'",
            &format!(
                "list ip_source 'interface'\n\tlist ip_source 'web'\n\toption agree '1'\n\tlist ip_url \
                 'https://web.example.com/ip/{}'",
                secret("witness's path")
            ),
        );
    let channels = [
        channel(
            "ntfy",
            "ntfy",
            &[&format!("option url 'https://web.example.com/{}'", secret("topic of ntfy"))],
        ),
        channel(
            "bot",
            "telegram",
            &[
                "option url 'https://web.example.com'",
                &format!("option token '{}'", secret("bot's token")),
                "option chat_id '42'",
            ],
        ),
        channel(
            "robot",
            "dingtalk",
            &[
                &format!(
                    "option url 'https://web.example.com/robot?access_token={}'",
                    secret("robot's address")
                ),
                &format!("option secret '{}'", secret("robot's secret")),
            ],
        ),
        channel(
            "hook",
            "webhook",
            &[
                &format!("option url 'https://web.example.com/in/{}'", secret("hook's path")),
                &format!("list header 'X-Key: {}'", secret("hook's header")),
            ],
        ),
    ];
    let (file, signs, beside) =
        ("/etc/porchlight/file.token", secret("key that signs"), secret("key that is sent beside"));
    let (userinfo, body, camera) =
        (secret("password before a host"), secret("password in a body"), secret("camera's path"));
    let channels = channels.concat();
    format!(
        "{home}
config record 'file'
\toption provider 'custom'
\toption url 'https://web.example.com/by/file?token={{token}}&ip=[IP]'
\toption token_file '{file}'
\tlist domain 'd.example.com'

config record 'env'
\toption provider 'custom'
\toption url 'https://me:{userinfo}@web.example.com/by/env?token={{token}}&ip=[IP]'
\toption token '$DYN_TOKEN'
\tlist domain 'e.example.com'

config record 'body'
\toption provider 'custom'
\toption url 'https://web.example.com/by/body'
\toption method 'POST'
\toption body '{{\"ip\":\"{{ip}}\",\"password\":\"{{password}}\"}}'
\toption password '{body}'
\tlist domain 'f.example.com'

config record 'signed'
\toption provider 'ovh_api'
\toption url 'https://web.example.com/1.0'
\toption app_key 'app-key'
\toption app_secret '{signs}'
\toption consumer_key '{beside}'
\tlist domain 'g.example.com'

config camera 'door'
\tlist mac '02:00:00:00:00:21'

config mapping 'door_rtsp'
\toption camera 'door'
\toption src_dport '28554'
\toption dest_port '554'
\toption path '/live?user=admin&password={camera}'
{channels}
config record 'dyn'
\toption provider 'dyn'
\toption url 'https://web.example.com'
\toption username 'me'
\toption password '{password}'
\tlist domain 'a.example.com'

config record 'own'
\toption provider 'custom'
\toption url 'https://web.example.com/{path}/update?ip=[IP]'
\tlist header 'X-Token: {header}'
\tlist domain 'b.example.com'

config record 'cloud'
\toption provider 'cloudflare'
\toption url 'https://web.example.com'
\toption token '{cloudflare}'
\tlist domain 'c.example.com'
"
    )
}

/// What can be asked of an agent, and what it leaves.
fn everything(place: &Place, agent: &Agent) -> Result<String> {
    let mut all = String::new();
    for args in [&["status"][..], &["status", "--json"], &["check"], &["once"]] {
        let Finished { stdout, stderr, .. } = place.lab.verb(args)?;
        all += &(stdout + &stderr);
    }
    all += &fs::read_to_string(place.run_dir().join("state"))?;
    let arguments = fs::read(format!("/proc/{}/cmdline", agent.pid()))?;
    all += &String::from_utf8_lossy(&arguments).replace('\0', " ");
    Ok(all)
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits =
            chunk.iter().enumerate().fold(0u32, |bits, (at, byte)| bits | u32::from(*byte) << (16 - 8 * at));
        for at in 0..=chunk.len() {
            out.push(char::from(DIGITS[(bits >> (18 - 6 * at)) as usize % 64]));
        }
    }
    out
}

fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
