//! The shooting range: servers that shoot the agent at a moment that they alone know.

use crate::lab::nameserver::{Moment, Update};
use crate::lab::*;
use anyhow::{ensure, Context, Result};
use domain::base::iana::Rcode;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The longest request that the service's stand-in reads.
const MAX_REQUEST: usize = 8192;
/// The longest wait for the rest of one.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);

/// Whose job is aimed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// `rfc2136`, which reads before it writes.
    Dns,
    /// `dyn`, which cannot: what is published is looked up first.
    Web,
}

/// A moment that is waited for, and how long after it the shot falls.
#[derive(Clone, Copy)]
pub struct Aim {
    pub whose: Whose,
    pub moment: Moment,
    pub delay: Duration,
    pub lose: bool,
}

/// Shared with the servers, on whose threads the shots fall.
#[derive(Default)]
pub struct Gun {
    pid: i32,
    aim: Option<Aim>,
    pub lost: bool,
    pub met: Vec<(Whose, Moment, Instant)>,
    pub shot: Option<Instant>,
}

#[derive(Clone, Default)]
pub struct Range(Arc<Mutex<Gun>>);

impl Range {
    pub fn lock(&self) -> MutexGuard<'_, Gun> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn load(&self, pid: u32, aim: Option<Aim>) {
        *self.lock() = Gun { pid: pid as i32, aim, ..Gun::default() };
    }

    pub fn fire(&self) {
        let mut gun = self.lock();
        if gun.shot.is_none() {
            // It may have ended by itself, which shows elsewhere.
            let _ = kill(Pid::from_raw(gun.pid), Signal::SIGKILL);
            gun.shot = Some(Instant::now());
        }
    }

    /// A server reached a moment; false if the request is to be lost.
    pub fn reached(&self, whose: Whose, moment: Moment) -> bool {
        let mut gun = self.lock();
        gun.met.push((whose, moment, Instant::now()));
        let Some(aim) = gun.aim.take_if(|aim| (aim.whose, aim.moment) == (whose, moment)) else {
            return true;
        };
        gun.lost = aim.lose;
        drop(gun);
        if !aim.delay.is_zero() {
            thread::sleep(aim.delay);
        }
        self.fire();
        !aim.lose
    }
}

/// The stand-in of a service of the dyndns2 family: what it takes, the zone has at once.
#[derive(Clone)]
pub struct Service {
    dns: Nameserver,
    range: Range,
    updates: Arc<Mutex<Vec<Update>>>,
}

impl Service {
    pub fn start(lab: &Lab, dns: &Nameserver, range: &Range) -> Result<Service> {
        let service = Service { dns: dns.clone(), range: range.clone(), updates: Arc::default() };
        let listener = lab.internet.enter(|| Ok(TcpListener::bind((WEB4, 80))?))?;
        let server = service.clone();
        thread::spawn(move || {
            for call in listener.incoming().flatten() {
                let server = server.clone();
                // A caller that is killed breaks off.
                thread::spawn(move || server.serve(call));
            }
        });
        Ok(service)
    }

    fn serve(&self, mut call: TcpStream) -> Result<()> {
        call.set_read_timeout(Some(REQUEST_WITHIN))?;
        let mut text = Vec::new();
        let mut chunk = [0; 1024];
        while !text.windows(4).any(|four| four == b"\r\n\r\n") {
            let count = call.read(&mut chunk)?;
            ensure!(count > 0 && text.len() < MAX_REQUEST, "half a request, or a long one");
            text.extend(chunk.iter().take(count));
        }
        if !self.range.reached(Whose::Web, Moment::Received) {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&text);
        let target = text.split(' ').nth(1).unwrap_or_default();
        let field = |name: &str| {
            let query = target.split_once('?')?.1;
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        let name = field("hostname").context("no hostname")?;
        let addr = field("myip").context("no myip")?.parse()?;
        let changed = self.dns.publish(name, addr)?;
        let update = Update {
            at: Instant::now(),
            rcode: Some(Rcode::NOERROR),
            wants: vec![(name.into(), addr)],
            changed,
        };
        self.updates.lock().unwrap_or_else(PoisonError::into_inner).push(update);
        self.range.reached(Whose::Web, Moment::Done);
        let body = format!("{} {addr}", if changed { "good" } else { "nochg" });
        let length = body.len();
        write!(
            call,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )?;
        self.range.reached(Whose::Web, Moment::Answered);
        Ok(())
    }

    pub fn updates(&self) -> Vec<Update> {
        self.updates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
