//! A reverse forward of SSH (RFC 4254 section 7.1): OpenSSH's client or dropbear's, run by us, one for each line. It leads
//! to a port of ours on the loopback interface, behind which the gate is: where that leads to may change meanwhile.

use super::gate::Made;
use super::relay::tcp;
use super::{quoted, Gate};
use crate::act::command::{run, Watched};
use crate::act::net::{dial, within};
use crate::config::Tunnel;
use crate::paths::Paths;
use crate::provider::{Failure, Kind};
use smol::future::or;
use smol::io::AsyncReadExt;
use smol::Async;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the server may take to say that it speaks SSH, and a client to say which one it is.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How long OpenSSH may take to forward the port.
const MAKE_LIMIT: Duration = Duration::from_secs(60);
/// dropbear says nothing when the port is forwarded, but ends when it is not: one that still runs after this has it.
const SETTLE: Duration = Duration::from_secs(10);
/// After so many lines of a client the first of them are forgotten.
const SAID_CAP: usize = 4;

/// What OpenSSH says beside what went wrong.
const CHATTER: [&str; 5] = ["debug1:", "OpenSSH_", "Authenticated to", "Transferred:", "Bytes per second"];

/// Which client it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Client {
    OpenSsh,
    /// By this name.
    Dropbear(&'static str),
}

/// Keeps a line up until it fails.
pub(super) async fn carry(section: &Tunnel, gate: &Gate, paths: &Paths) -> Failure {
    match serve(section, gate, paths).await {
        Ok(failure) | Err(failure) => failure,
    }
}

async fn serve(section: &Tunnel, gate: &Gate, paths: &Paths) -> Result<Failure, Failure> {
    let local = |error: io::Error| Failure::new(Kind::NotReady, format!("ssh cannot be prepared: {error}"));
    let client = find().await?;
    if matches!(client, Client::Dropbear(_)) {
        greet(section).await?;
    }
    let listener = Async::<TcpListener>::bind((Ipv4Addr::LOCALHOST, 0)).map_err(local)?;
    let port = listener.get_ref().local_addr().map_err(local)?.port();
    let home = home(section, paths).map_err(local)?;
    let key = paths.under_root(section.text("key_file").unwrap_or_default());
    let forward = format!("*:{}:{}:{port}", gate.remote(), Ipv4Addr::LOCALHOST);
    let (program, args) = arguments(client, section, &key, &home, &forward);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let child = Watched::start(program, &args, &[("HOME", &home)]).map_err(local)?;
    let admitted = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => gate.admit(visitor(stream)),
                Err(error) => break local(error),
            }
        }
    };
    Ok(or(watch(child, client, section, gate), admitted).await)
}

fn visitor(stream: Async<TcpStream>) -> Made {
    Box::pin(async move { Ok(tcp(stream)) })
}

/// Listens to the client until it ends, and says what that means.
async fn watch(mut child: Watched, client: Client, section: &Tunnel, gate: &Gate) -> Failure {
    let (mut said, mut stands) = (Vec::new(), false);
    let limit = if client == Client::OpenSsh { MAKE_LIMIT } else { SETTLE };
    let settled = Instant::now() + limit;
    loop {
        let line = if stands { Some(child.line().await) } else { within(settled, child.line()).await };
        match line {
            // Any port that was asked for is told by both.
            None if client == Client::OpenSsh || gate.remote() == 0 => {
                let text = format!("{}: ssh did not forward the port in time", section.server);
                return Failure::new(Kind::Unreachable, text);
            }
            None => {
                stands = true;
                gate.up(gate.remote());
            }
            Some(None) => return judge(section, &said),
            Some(Some(line)) => match forwarded(&line, gate.remote()) {
                Some(port) if !stands => {
                    stands = true;
                    gate.up(port);
                }
                _ if line.is_empty() || CHATTER.iter().any(|start| line.starts_with(start)) => {}
                _ => {
                    said.push(line);
                    said.drain(..said.len().saturating_sub(SAID_CAP));
                }
            },
        }
    }
}

/// The port that is forwarded, if a line of the client says so.
fn forwarded(line: &str, wanted: u16) -> Option<u16> {
    if let Some((_, rest)) = line.split_once("Allocated port ") {
        return rest.split(' ').next()?.parse().ok();
    }
    (wanted != 0 && line.contains("remote forward success for")).then_some(wanted)
}

/// What the last words of a client mean.
fn judge(section: &Tunnel, said: &[String]) -> Failure {
    const REFUSED: [&str; 3] =
        ["remote port forwarding failed", "emote TCP forward request failed", "administratively prohibited"];
    const KEY: [&str; 4] =
        ["Permission denied", "No auth methods could be used", "Load key", "Failed loading keyfile"];
    const HOST: [&str; 4] = [
        "Host key verification failed",
        "ost key mismatch",
        "validate host key",
        "REMOTE HOST IDENTIFICATION",
    ];
    let text = said.join("; ");
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let (kind, hint) = if says(&HOST) {
        (Kind::Untrusted, "the server's key is none of list host_key: ")
    } else if says(&REFUSED) {
        (Kind::Refused, "the server does not forward the port: ")
    } else if says(&KEY) {
        (Kind::Credentials, "the server does not take the key of option key_file: ")
    } else {
        (Kind::Unreachable, "ssh ended: ")
    };
    let text = if text.is_empty() { "without a word" } else { &text };
    Failure::new(kind, format!("{}: {hint}{}", section.server, quoted(text)))
}

/// Which client is here.
async fn find() -> Result<Client, Failure> {
    let mut missing = String::new();
    for program in ["ssh", "dbclient"] {
        let asked = run(Path::new(program), "openssh-client (or dropbear)", &["-V"], "", ANSWER_LIMIT).await;
        match asked.map(|ran| ran.complaint + &ran.out) {
            Ok(said) if said.contains("OpenSSH") => return Ok(Client::OpenSsh),
            Ok(said) if program != "ssh" || said.contains("ropbear") => return Ok(Client::Dropbear(program)),
            Ok(_) => {}
            Err(why) => missing = why,
        }
    }
    Err(Failure::new(Kind::NotReady, missing))
}

/// Asks the server whether it is there, as dropbear waits for it without end.
async fn greet(section: &Tunnel) -> Result<(), Failure> {
    let who = format!("{} port {}", section.server, section.port);
    let until = Instant::now() + ANSWER_LIMIT;
    let mut stream = dial(&who, &section.server, section.port, until).await?;
    let mut greeting = [0; 4];
    match within(until, stream.read_exact(&mut greeting)).await {
        Some(Ok(())) if &greeting == b"SSH-" => Ok(()),
        _ => Err(Failure::new(Kind::Unreachable, format!("{who}: nobody there speaks SSH"))),
    }
}

/// A directory of the client's own in tmpfs, with the keys by which it knows the server.
fn home(section: &Tunnel, paths: &Paths) -> io::Result<PathBuf> {
    let home = paths.run_dir.join("ssh").join(&section.name);
    fs::create_dir_all(home.join(".ssh"))?;
    let (server, port) = (&section.server, section.port);
    let mut text = String::new();
    for key in section.text("host_key").unwrap_or_default().lines() {
        let words: Vec<&str> = key.split_whitespace().take(2).collect();
        let key = words.join(" ");
        // dropbear looks for the bare name, OpenSSH for the port too, where it is not the usual one.
        text.push_str(&format!("{server} {key}\n[{server}]:{port} {key}\n"));
    }
    fs::write(known_hosts(&home), text)?;
    Ok(home)
}

fn known_hosts(home: &Path) -> PathBuf {
    home.join(".ssh/known_hosts")
}

/// The program and its arguments. Neither client asks anybody anything, knows no server but by its key, ends when the port
/// is not forwarded, and notices within a minute that the server is gone.
fn arguments(
    client: Client,
    section: &Tunnel,
    key: &Path,
    home: &Path,
    forward: &str,
) -> (&'static str, Vec<String>) {
    const OPENSSH: &str = "-v -N -T -n -F none -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none \
        -o StrictHostKeyChecking=yes -o CheckHostIP=no -o UpdateHostKeys=no -o GlobalKnownHostsFile=/dev/null \
        -o ExitOnForwardFailure=yes -o ConnectTimeout=10 -o ServerAliveInterval=15 -o ServerAliveCountMax=3";
    const DROPBEAR: &str = "-N -T -K 15 -o ExitOnForwardFailure=yes";
    let (program, fixed) = match client {
        Client::OpenSsh => ("ssh", OPENSSH),
        Client::Dropbear(name) => (name, DROPBEAR),
    };
    let mut args: Vec<String> = fixed.split_whitespace().map(str::to_string).collect();
    if client == Client::OpenSsh {
        args.extend(["-o".to_string(), format!("UserKnownHostsFile=\"{}\"", known_hosts(home).display())]);
    }
    let who = format!("{}@{}", section.text("username").unwrap_or_default(), section.server);
    let (key, port) = (key.display().to_string(), section.port.to_string());
    args.extend(["-i", &key, "-p", &port, "-R", forward, &who].map(str::to_string));
    (program, args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_clients_say_of_the_port() {
        let success = "debug1: remote forward success for: listen *:8554, connect 127.0.0.1:40001";
        assert_eq!(forwarded(success, 8554), Some(8554));
        assert_eq!(forwarded("debug1: remote forward success for: listen *:0, connect", 0), None);
        let allocated = "Allocated port 40333 for remote forward to 127.0.0.1:1";
        assert_eq!((forwarded(allocated, 0), forwarded(allocated, 1)), (Some(40333), Some(40333)));
        assert_eq!(forwarded("Warning: remote port forwarding failed for listen port 8554", 8554), None);
    }
}
