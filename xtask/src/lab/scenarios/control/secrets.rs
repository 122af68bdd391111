//! Where a secret must not be: in anything that the agent says or leaves.

use super::{Place, DONE_WITHIN};
use crate::lab::process::Finished;
use crate::lab::*;
use crate::peers::recorder::{Authority, Recorder, Seen as Request};
use anyhow::{bail, ensure, Result};
use std::fs;
use std::sync::Arc;

/// Secrets that are looked for, with the place of each.
const SECRETS: [(&str, &str); 5] = [
    ("tsig_secret", SECRET),
    ("password", "pass/word+hunter2"),
    ("token in a header", "tok-0123456789abcdef"),
    ("token in a path", "path-secret-fedcba98"),
    ("cloudflare's token", "cf-token-a1b2c3d4e5"),
];

/// Everything that the agent says, at its most talkative, holds no secret.
pub fn secrets(lab: &mut Lab) -> Result<Summary> {
    let mut place = Place::make(lab)?;
    place.dns.publish("web.example.com", WEB4.into())?;
    let authority = Authority::new()?;
    authority.write_pem(&lab.root.join("etc/porchlight/ca.pem"))?;
    let recorder = lab.internet.enter(|| Recorder::start(WEB4.into(), authority, Arc::new(tell_tale)))?;
    lab.write_config(&talkative(lab))?;
    let mut agent = lab.start_agent()?;
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
    for (what, secret) in SECRETS {
        for coded in [secret.to_string(), base64(secret), base64(&format!("me:{secret}")), percent(secret)] {
            if let Some(at) = said.find(&coded) {
                let from = said.get(..at).and_then(|text| text.rfind('\n')).unwrap_or(0);
                let line = said.get(from..).unwrap_or_default().lines().nth(1).unwrap_or_default();
                bail!("{what} is told ({coded}): {line}");
            }
        }
    }
    Ok(Summary::line(format!(
        "{} KiB of log, status, check, state file and arguments: none of {} secrets, in no coding",
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
    let [(_, tsig), (_, password), (_, header), (_, path), (_, cloudflare)] = SECRETS;
    let home = lab
        .config()
        .replace("tsig_secret_file '/etc/porchlight/tsig.key'", &format!("tsig_secret '{tsig}'"))
        .replace(
            "option mapping_backend",
            "option log_level 'trace'\n\toption cacert '/etc/porchlight/ca.pem'\n\toption mapping_backend",
        );
    format!(
        "{home}
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
