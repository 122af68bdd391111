//! Web services in the lab: real nginx does the TLS, with certificates of a private authority; behind it a
//! small stand-in speaks Cloudflare's and the dyndns2 protocol, one *face* a host name, each with its mood.

use super::process::{self, until, Daemon};
use super::published::PUBLISHED;
use super::{seal, Lab, Ns};
use anyhow::{ensure, Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// Where the agent finds the authority's certificate, below its root: `option cacert`.
pub const CACERT: &str = "/etc/ssl/lab-ca.pem";
/// nginx takes connections within this time, or has failed.
const START_LIMIT: Duration = Duration::from_secs(5);
/// The longest head and body of a request that are read.
const REQUEST_CAP: u64 = 64 * 1024;
/// What [`Mood::Big`] sends.
const BIG: usize = 10 * 1024 * 1024;
/// What [`Mood::Drip`] promises.
const SMALL: usize = 1000;
/// Seconds of a day.
const DAY: u64 = 86_400;
/// From one byte of [`Mood::Drip`] to the next.
const DRIP: Duration = Duration::from_secs(1);
/// How long [`Mood::Try`] waits for a connection.
const TRY_LIMIT: Duration = Duration::from_secs(1);
/// The only zone of every account, and its id.
const ZONE_ID: &str = "023e105f4ecef8ad9ca31a8372d0c353";

/// How a face meets requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mood {
    /// By the rules.
    Well,
    /// With this status, these headers and this body, whatever was asked.
    Say(u16, &'static str, &'static str),
    /// Writes with this status, these headers and this body; the rest by the rules.
    SayToWrites(u16, &'static str, &'static str),
    /// With 10 MB, the length told or not.
    Big {
        /// Whether there is a Content-Length.
        told: bool,
    },
    /// With one byte a second, until the mood changes; then the connection is closed.
    Drip,
    /// With the caller's address, as nginx sees it.
    Echo,
    /// With whether somebody takes a connection from the internet at the `host` and `port` of the query: it really tries.
    Try,
    /// By closing the connection.
    Close,
}

/// How a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// As it should be.
    Good,
    /// It ended in 2025.
    Expired,
    /// By an authority that nobody knows.
    Stranger,
    /// Valid from this day on, for 90 days.
    Today,
}

/// A host name with an address of its own, and the account behind it.
#[derive(Clone, Debug)]
pub struct Face {
    /// The host name.
    pub host: String,
    /// Its address in the internet. Port 443.
    pub addr: Ipv4Addr,
    /// `ssl_protocols` of nginx.
    pub tls: &'static str,
    /// What the header `Authorization` must say.
    pub authorization: String,
}

/// One request that reached the stand-in.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it was read.
    pub at: Instant,
    /// Its first line without the version.
    pub line: String,
    /// What it was answered; 0 for no answer in good order.
    pub status: u16,
    /// The caller's address, as nginx sees it.
    pub from: String,
}

struct Account {
    authorization: String,
    mood: Mood,
    records: Vec<Value>,
    next_id: u32,
    seen: Vec<Seen>,
}

type Accounts = Arc<Mutex<BTreeMap<String, Account>>>;

/// The running web. nginx is killed when it is dropped.
pub struct Web {
    accounts: Accounts,
    known: Authority,
    unknown: Authority,
    dir: PathBuf,
    _nginx: Daemon,
}

/// A certificate authority that exists for one run.
type Authority = CertifiedIssuer<'static, KeyPair>;

impl Web {
    /// Starts it in the internet for a zone; makes the host names known to the router, and the authority
    /// to the agent.
    pub fn start(lab: &Lab, zone: &'static str, faces: &[Face]) -> Result<Web> {
        let dir = Path::new(seal::DIR).join("web");
        fs::create_dir_all(dir.join("certs"))?;
        let accounts: Accounts = Arc::default();
        for face in faces {
            let account = Account {
                authorization: face.authorization.clone(),
                mood: Mood::Well,
                records: Vec::new(),
                next_id: 1,
                seen: Vec::new(),
            };
            lock(&accounts).insert(face.host.clone(), account);
            lab.internet.ip(&format!("addr replace {}/32 dev lo", face.addr))?;
        }
        let listener = lab.internet.enter(|| Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?))?;
        let behind = listener.local_addr()?;
        let (shared, internet) = (accounts.clone(), Arc::new(lab.internet.again()?));
        thread::spawn(move || serve(&listener, zone, &shared, &internet));
        let (known, unknown) = (authority("Lab authority")?, authority("Somebody")?);
        fs::create_dir_all(lab.root.join("etc/ssl"))?;
        fs::write(lab.root.join(CACERT.trim_start_matches('/')), known.pem())?;
        let hosts: String = faces.iter().map(|face| format!("{} {}\n", face.addr, face.host)).collect();
        fs::write(lab.router.etc("hosts"), format!("127.0.0.1 localhost\n::1 localhost\n{hosts}"))?;
        let nginx = start_nginx(lab, &dir, faces, behind)?;
        let web = Web { accounts, known, unknown, dir, _nginx: nginx };
        for face in faces {
            web.set_certificate(&face.host, Certificate::Good)?;
        }
        Ok(web)
    }

    /// Gives a host another certificate, for the next connection.
    pub fn set_certificate(&self, host: &str, certificate: Certificate) -> Result<()> {
        self.set_certificate_of(host, certificate, &KeyPair::generate()?)
    }

    /// The same with an RSA key.
    pub fn set_rsa_certificate(&self, host: &str, certificate: Certificate) -> Result<()> {
        let mut openssl = Command::new("openssl");
        openssl.args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
        let key = process::run(&mut openssl, None, START_LIMIT)?.success()?;
        self.set_certificate_of(host, certificate, &KeyPair::from_pem(&key)?)
    }

    fn set_certificate_of(&self, host: &str, certificate: Certificate, key: &KeyPair) -> Result<()> {
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, host);
        if certificate == Certificate::Expired {
            params.not_before = rcgen::date_time_ymd(2025, 1, 1);
            params.not_after = rcgen::date_time_ymd(2025, 4, 1);
        }
        if certificate == Certificate::Today {
            let today = UNIX_EPOCH.elapsed()?.as_secs() / DAY * DAY;
            params.not_before = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(today);
            params.not_after = params.not_before + Duration::from_secs(90 * DAY);
        }
        let issuer = if certificate == Certificate::Stranger { &self.unknown } else { &self.known };
        let chain = params.signed_by(key, issuer)?.pem();
        // One file for both: never a key beside another's certificate.
        let path = self.dir.join("certs").join(host);
        let new = path.with_extension("new");
        fs::write(&new, chain + &key.serialize_pem())?;
        fs::rename(&new, &path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Changes how a host meets requests.
    pub fn set_mood(&self, host: &str, mood: Mood) {
        if let Some(account) = lock(&self.accounts).get_mut(host) {
            account.mood = mood;
        }
    }

    /// Every request that reached a host.
    pub fn seen(&self, host: &str) -> Vec<Seen> {
        lock(&self.accounts).get(host).map(|account| account.seen.clone()).unwrap_or_default()
    }

    /// The only address that a host has for a name.
    pub fn address(&self, host: &str, name: &str) -> Option<IpAddr> {
        let accounts = lock(&self.accounts);
        let mut found = accounts.get(host)?.records.iter().filter(|record| record["name"] == name);
        match (found.next(), found.next()) {
            (Some(only), None) => only["content"].as_str()?.parse().ok(),
            _ => None,
        }
    }
}

fn lock(accounts: &Accounts) -> MutexGuard<'_, BTreeMap<String, Account>> {
    accounts.lock().unwrap_or_else(PoisonError::into_inner)
}

fn authority(name: &str) -> Result<Authority> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn start_nginx(lab: &Lab, dir: &Path, faces: &[Face], behind: SocketAddr) -> Result<Daemon> {
    let servers: String = faces.iter().map(|face| server(dir, face, behind)).collect();
    let at = dir.display();
    // Certificates are read at each handshake (their file names hold a variable): a new one needs no reload.
    let text = format!(
        "daemon off; master_process off; pid {at}/nginx.pid; error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    access_log off; keepalive_timeout 0; server_names_hash_bucket_size 128;
    client_body_temp_path {at}/t1; proxy_temp_path {at}/t2; fastcgi_temp_path {at}/t3;
    uwsgi_temp_path {at}/t4; scgi_temp_path {at}/t5;
{servers}}}
"
    );
    let conf = dir.join("nginx.conf");
    fs::write(&conf, text)?;
    let mut command = Command::new("nginx");
    command.arg("-e").arg("stderr").arg("-p").arg(dir).arg("-c").arg(&conf);
    let mut nginx = lab.internet.spawn("nginx", &mut command)?;
    let all_take = || faces.iter().all(|face| TcpStream::connect((face.addr, 443)).is_ok());
    lab.internet
        .enter(|| {
            until("nginx takes connections", START_LIMIT, || {
                (all_take() || !nginx.is_running()).then_some(())
            })
        })
        .with_context(|| format!("its last words:\n{}", nginx.tail(20)))?;
    ensure!(nginx.is_running(), "nginx ended at once; its last words:\n{}", nginx.tail(20));
    Ok(nginx)
}

fn server(dir: &Path, face: &Face, behind: SocketAddr) -> String {
    let (dir, Face { host, addr, tls, .. }) = (dir.display(), face);
    format!(
        "    server {{
        listen {addr}:443 ssl; listen [::]:443 ssl; server_name {host}; ssl_protocols {tls};
        ssl_certificate {dir}/certs/$ssl_server_name; ssl_certificate_key {dir}/certs/$ssl_server_name;
        location / {{
            proxy_pass http://{behind}; proxy_set_header X-Face {host}; proxy_set_header X-Caller $remote_addr; proxy_buffering off;
            proxy_read_timeout 60s; error_page 502 504 @gone;
        }}
        location @gone {{ return 444; }}
    }}
"
    )
}

/// A request as nginx passes it on.
struct Request {
    method: String,
    target: String,
    path: String,
    query: BTreeMap<String, String>,
    face: String,
    authorization: String,
    caller: String,
    body: Vec<u8>,
}

fn serve(listener: &TcpListener, zone: &'static str, accounts: &Accounts, internet: &Arc<Ns>) {
    for call in listener.incoming().flatten() {
        let (accounts, internet) = (accounts.clone(), internet.clone());
        thread::spawn(move || answer(call, zone, &accounts, &internet));
    }
}

fn answer(mut call: TcpStream, zone: &str, accounts: &Accounts, internet: &Ns) -> io::Result<()> {
    let request = read_request(&call)?;
    let (mood, status, body) = {
        let mut accounts = lock(accounts);
        let Some(account) = accounts.get_mut(&request.face) else { return Ok(()) };
        let mood = match account.mood.clone() {
            Mood::SayToWrites(..) if request.method == "GET" => Mood::Well,
            mood => mood,
        };
        let (status, body) = match &mood {
            Mood::Well if request.path.starts_with("/client/v4/") => account.cloudflare(zone, &request),
            Mood::Well => account.dyndns2(&request),
            Mood::Say(status, _, body) | Mood::SayToWrites(status, _, body) => (*status, (*body).to_owned()),
            Mood::Big { .. } | Mood::Drip => (200, String::new()),
            Mood::Echo => (200, format!("{}\n", request.caller)),
            Mood::Try => (200, String::new()),
            Mood::Close => (0, String::new()),
        };
        let line = format!("{} {}", request.method, request.target);
        account.seen.push(Seen { at: Instant::now(), line, status, from: request.caller.clone() });
        (mood, status, body)
    };
    let body = if mood == Mood::Try { try_port(internet, &request)? } else { body };
    let head = |more: &str| format!("HTTP/1.1 {status} -\r\nContent-Type: text/plain\r\n{more}\r\n");
    match mood {
        Mood::Close => Ok(()),
        Mood::Big { told } => {
            let length = format!("Content-Length: {BIG}\r\n");
            call.write_all(head(if told { &length } else { "" }).as_bytes())?;
            (0..BIG / 1024).try_for_each(|_| call.write_all(&[b'x'; 1024]))
        }
        Mood::Drip => {
            call.write_all(head(&format!("Content-Length: {SMALL}\r\n")).as_bytes())?;
            drip(&mut call, &request.face, accounts)
        }
        Mood::Well | Mood::Echo | Mood::Try => {
            write!(call, "{}{body}", head(&format!("Content-Length: {}\r\n", body.len())))
        }
        Mood::Say(_, headers, _) | Mood::SayToWrites(_, headers, _) => {
            write!(call, "{}{body}", head(&format!("Content-Length: {}\r\n{headers}", body.len())))
        }
    }
}

/// Whether a connection from the internet gets through.
fn try_port(internet: &Ns, request: &Request) -> io::Result<String> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let value = |key: &str| request.query.get(key).cloned().ok_or_else(bad);
    let host: IpAddr = value("host")?.parse().map_err(|_| bad())?;
    let port: u16 = value("port")?.parse().map_err(|_| bad())?;
    let reachable =
        internet.enter(|| Ok(TcpStream::connect_timeout(&(host, port).into(), TRY_LIMIT)?)).is_ok();
    Ok(json!({"ip": host, "port": port, "reachable": reachable}).to_string())
}

/// One byte, then one every [`DRIP`], as long as the mood lasts.
fn drip(call: &mut TcpStream, face: &str, accounts: &Accounts) -> io::Result<()> {
    let mut next = Instant::now();
    while lock(accounts).get(face).is_some_and(|account| account.mood == Mood::Drip) {
        if Instant::now() >= next {
            call.write_all(b"{")?;
            next += DRIP;
        }
        thread::sleep(DRIP / 50);
    }
    Ok(())
}

fn read_request(call: &TcpStream) -> io::Result<Request> {
    let mut reader = BufReader::new(call.take(REQUEST_CAP));
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        let mut all = head.iter().skip(1).filter_map(|line| line.split_once(':'));
        all.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let mut words = head.first().ok_or_else(bad)?.split(' ');
    let (method, target) = (words.next().ok_or_else(bad)?, words.next().ok_or_else(bad)?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut body = vec![0; header("content-length").map_or(Ok(0), |n| n.parse()).map_err(|_| bad())?];
    reader.read_exact(&mut body)?;
    Ok(Request {
        method: method.to_owned(),
        target: target.to_owned(),
        path: path.to_owned(),
        query: query.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        face: header("x-face").unwrap_or_default(),
        authorization: header("authorization").unwrap_or_default(),
        caller: header("x-caller").unwrap_or_default(),
        body,
    })
}

impl Account {
    /// Cloudflare's API v4, as far as one zone goes:
    /// <https://developers.cloudflare.com/api/resources/dns/subresources/records/>
    fn cloudflare(&mut self, zone: &str, request: &Request) -> (u16, String) {
        if request.authorization != self.authorization {
            return failure(403, 10000, "Authentication error");
        }
        let path = request.path.trim_start_matches("/client/v4/").trim_end_matches('/');
        let records = format!("zones/{ZONE_ID}/dns_records");
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        note_contents(&body);
        match (request.method.as_str(), path.strip_prefix(&records)) {
            ("GET", None) if path == "zones" => {
                let wanted = request.query.get("name").is_none_or(|name| name == zone);
                let all = [json!({"id": ZONE_ID, "name": zone, "status": "active"})];
                page(if wanted { &all } else { &[] })
            }
            ("GET", Some("")) => {
                let fits = |record: &&Value| {
                    ["name", "type"]
                        .iter()
                        .all(|key| request.query.get(*key).is_none_or(|wish| record[*key] == wish.as_str()))
                };
                page(&self.records.iter().filter(fits).cloned().collect::<Vec<_>>())
            }
            ("POST", Some("")) => self.create(body).map_or_else(invalid, success),
            ("PATCH", Some(id)) => {
                self.patch(id.trim_start_matches('/'), &body).map_or_else(unknown, success)
            }
            ("POST", Some("/batch")) => self.batch(&body).map_or_else(invalid, success),
            _ => failure(404, 7000, "No route for that URI"),
        }
    }

    fn create(&mut self, mut record: Value) -> Option<Value> {
        let known = |key: &str| record[key].as_str().is_some();
        if !["name", "type", "content"].into_iter().all(known) || !record["ttl"].is_i64() {
            return None;
        }
        let same = |old: &Value| (&old["name"], &old["type"]) == (&record["name"], &record["type"]);
        if self.records.iter().any(same) {
            return None;
        }
        record["id"] = format!("{:032x}", self.next_id).into();
        self.next_id += 1;
        self.records.push(record.clone());
        Some(record)
    }

    fn patch(&mut self, id: &str, change: &Value) -> Option<Value> {
        let record = self.records.iter_mut().find(|record| record["id"] == id)?;
        for (key, value) in change.as_object()? {
            record[key] = value.clone();
        }
        Some(record.clone())
    }

    /// All or nothing: in the order patches, posts.
    fn batch(&mut self, body: &Value) -> Option<Value> {
        let before = self.records.clone();
        let list = |key: &str| body[key].as_array().cloned().unwrap_or_default();
        let patches: Option<Vec<Value>> =
            list("patches").iter().map(|change| self.patch(change["id"].as_str()?, change)).collect();
        let posts: Option<Vec<Value>> = list("posts").into_iter().map(|record| self.create(record)).collect();
        match (patches, posts) {
            (Some(patches), Some(posts)) => Some(json!({"patches": patches, "posts": posts})),
            _ => {
                self.records = before;
                None
            }
        }
    }

    /// The dyndns2 protocol: <https://help.dyn.com/remote-access-api/>
    fn dyndns2(&mut self, request: &Request) -> (u16, String) {
        let value = |key: &str| request.query.get(key).cloned().unwrap_or_default();
        let (name, addr) = (value("hostname"), value("myip"));
        if request.authorization != self.authorization {
            return (401, "badauth\n".into());
        }
        addr.parse().iter().for_each(|addr| PUBLISHED.note("dyndns2", *addr));
        if request.path != "/nic/update" || addr.parse::<IpAddr>().is_err() {
            return (200, "notfqdn\n".into());
        }
        let record = json!({"name": name, "type": "A", "content": addr});
        if self.records.contains(&record) {
            return (200, format!("nochg {addr}\n"));
        }
        self.records = vec![record];
        (200, format!("good {addr}\n"))
    }
}

/// Every address in a request that writes, at whatever depth.
fn note_contents(body: &Value) {
    let parts: Vec<&Value> = match body {
        Value::Array(parts) => parts.iter().collect(),
        Value::Object(parts) => parts.values().collect(),
        Value::String(text) => {
            return text.parse().iter().for_each(|addr| PUBLISHED.note("Cloudflare", *addr))
        }
        _ => return,
    };
    parts.into_iter().for_each(note_contents);
}

fn success(result: Value) -> (u16, String) {
    (200, json!({"success": true, "errors": [], "messages": [], "result": result}).to_string())
}

fn page(result: &[Value]) -> (u16, String) {
    let info = json!({"page": 1, "per_page": 100, "count": result.len(), "total_count": result.len(),
        "total_pages": 1});
    let all = json!({"success": true, "errors": [], "messages": [], "result": result, "result_info": info});
    (200, all.to_string())
}

fn failure(status: u16, code: u32, message: &str) -> (u16, String) {
    let errors = json!([{"code": code, "message": message}]);
    (status, json!({"success": false, "errors": errors, "messages": [], "result": null}).to_string())
}

fn invalid() -> (u16, String) {
    failure(400, 81058, "An identical record already exists, or the record is not valid.")
}

fn unknown() -> (u16, String) {
    failure(404, 81044, "Record does not exist.")
}
