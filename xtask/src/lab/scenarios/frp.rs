//! A tunnel by a server of frp, from behind carrier-grade NAT: with and without TLS and yamux, through everything that
//! happens to such a server.

use super::Scenario;
use crate::lab::frps::{self, Frps, Site, NAME as SERVER};
use crate::lab::*;
use crate::peers::recorder::Authority;
use anyhow::{ensure, Result};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

/// The scenario.
pub const FRP: Scenario = Scenario {
    name: "frp",
    about:
        "a tunnel by frp: TLS and yamux on and off; refused, killed, cut and stuck, and the neighbours go on",
    needs: frps::NEEDS,
    limit: Duration::from_secs(120),
    slow: false,
    run,
};

/// The camera.
const CAMERA4: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);
/// The WAN, behind carrier-grade NAT, and its gateway.
const SHARED: Ipv4Addr = Ipv4Addr::new(100, 64, 7, 2);
const SHARED_GATEWAY: Ipv4Addr = Ipv4Addr::new(100, 64, 7, 1);
/// The port of the server that leads to the second mapping.
const SECOND_PORT: u16 = 8555;
/// The server's secret.
const TOKEN: &str = "lab-token-0123456789";
/// A way in stands within this time of the start.
const UP_LIMIT: Duration = Duration::from_secs(10);
/// So long is waited at most after a failure, the first few times.
const AGAIN_LIMIT: Duration = Duration::from_secs(20);
/// Who watches sees a line come back within this time.
const ECHO_LIMIT: Duration = Duration::from_secs(3);

/// What the internet sees of everybody behind the carrier's NAT.
const CARRIER: &str = "
table ip carrier {
	chain in {
		type nat hook input priority 100; policy accept;
		ip saddr 100.64.0.0/10 snat to 93.184.216.34
	}
}
";

fn run(lab: &mut Lab) -> Result<Summary> {
    let dns = lab.nameserver()?;
    lab.wan_device()?;
    lab.internet.nft(CARRIER)?;
    lab.internet.ip_batch(&[
        &format!("addr add {SHARED_GATEWAY}/24 dev isp0"),
        // Where answers go before the carrier's NAT is undone.
        "route add 93.184.216.34/32 dev isp0",
    ])?;
    lab.router.ip_batch(&[
        &format!("addr add {SHARED}/24 dev wan0"),
        &format!("route add default via {SHARED_GATEWAY} dev wan0"),
    ])?;
    dns.publish(SERVER, frps::AT.into())?;
    let host = lab.lan_host("camera", CAMERA_MAC, CAMERA4)?;
    let _front = Camera::start(&host.ns, 554, "front")?;
    let _back = Camera::start(&host.ns, 555, "back")?;
    lab.write_leases(&[host.lease(CAMERA4)])?;
    let authority = Authority::new()?;
    authority.write_pem(&lab.root.join("etc/porchlight/frp-ca.pem"))?;
    let site = Site::new(lab, &authority)?;
    let mut summary = Summary(ways(lab, &site)?);
    summary.0.push(distrust(lab, &site)?);
    summary.0.extend(life(lab, &site)?);
    ensure!(dns.count() == (0, 0), "something was published: {:?}", dns.count());
    summary.0.push("nothing private was published".into());
    Ok(summary)
}

/// The lab's configuration with a second mapping and a tunnel.
fn config(lab: &Lab, options: &str) -> String {
    let mapping = format!(
        "\nconfig mapping 'back_rtsp'\n\toption camera 'front'\n\tlist proto 'tcp'\n\toption src_dport '{SECOND_PORT}'\n\
         \toption dest_port '555'\n\toption allow_open '1'\n"
    );
    let tunnel = format!(
        "\nconfig tunnel 'out'\n\toption kind 'frp'\n\toption when 'always'\n\toption server '{SERVER}'\n\
         \toption token '{TOKEN}'\n\tlist mapping 'front_rtsp'\n\tlist mapping 'back_rtsp'\n{options}"
    );
    let text = lab.config().replace("\toption family 'any'\n", "\toption family 'ipv4'\n");
    // Nobody above us is asked, who would be waited for at each end.
    let text =
        text.replace("config porchlight 'global'\n", "config porchlight 'global'\n\toption upstream 'off'\n");
    text + &mapping + &tunnel
}

/// An option of the tunnel.
fn option(name: &str, value: &str) -> String {
    format!("\toption {name} '{value}'\n")
}

/// Who vouches for the server.
fn cacert() -> String {
    option("cacert", "/etc/porchlight/frp-ca.pem")
}

/// A viewer at the server, whom the camera has greeted.
fn visit(lab: &Lab, port: u16, camera: &str, limit: Duration) -> Result<TcpStream> {
    let mut found = None;
    let mut last = String::new();
    until(&format!("a viewer reaches {camera} at the server's port {port}"), limit, || {
        let called = probe::connect(&lab.internet, (frps::AT, port).into(), SECOND);
        let greeted = called.and_then(|mut stream| Ok((probe::read_line(&mut stream)?, stream)));
        match greeted {
            Ok((name, stream)) if name == camera => found = Some(stream),
            Ok((name, _)) => last = name,
            Err(error) => last = format!("{error:#}"),
        }
        found.is_some().then_some(())
    })
    .map_err(|error| error.context(format!("the last attempt: {last}")))?;
    let stream = found.ok_or_else(|| anyhow::anyhow!("nobody"))?;
    stream.set_read_timeout(Some(ECHO_LIMIT))?;
    Ok(stream)
}

/// Every way of speaking with the server: both mappings are reached, and what is said comes back whole.
fn ways(lab: &Lab, site: &Site) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for (way, options, mux) in [
        ("TLS and yamux", cacert(), true),
        ("byte 0x17, TLS and yamux", cacert() + &option("tls_first_byte", "1"), true),
        ("any certificate, as frpc", option("tls_verify", "0"), true),
        ("yamux alone", option("tls", "0"), true),
        ("TLS, a connection for each", cacert() + &option("tcp_mux", "0"), false),
        ("neither", option("tls", "0") + &option("tcp_mux", "0"), false),
    ] {
        lab.write_config(&config(lab, &options))?;
        let server = site.start(lab, TOKEN, mux)?;
        let start = Instant::now();
        let mut agent = lab.start_agent()?;
        let mut front = visit(lab, PORT, "front", UP_LIMIT)?;
        let ms = start.elapsed().as_millis();
        let mut back = visit(lab, SECOND_PORT, "back", UP_LIMIT)?;
        much(&mut front)?;
        ensure!(probe::echoes(&mut back)?, "{way}: the second mapping does not carry");
        server.is_content()?;
        let clear = server.lines().iter().any(|line| line.text.ends_with("in clear"));
        ensure!(clear != (options.contains("tls_") || options.contains("cacert")), "{way}: not as asked");
        agent.stop(5 * SECOND)?;
        until("the server's ports are closed", 5 * SECOND, || (server.count("proxy ") == 4).then_some(()))?;
        said.push(format!("{way}: reached {ms} ms after the start"));
    }
    Ok(said)
}

/// A megabyte, more than all windows on the way, comes back as it was sent.
fn much(stream: &mut TcpStream) -> Result<()> {
    let sent: Vec<u8> = (0..1_000_000_u32).map(|at| (at / 7 % 251) as u8).collect();
    let (mut out, text) = (stream.try_clone()?, sent.clone());
    let writer = std::thread::spawn(move || out.write_all(&text));
    let mut back = vec![0; sent.len()];
    stream.read_exact(&mut back)?;
    writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    ensure!(back == sent, "something else came back");
    Ok(())
}

/// A certificate that nobody vouches for, and another setting of yamux than the server's.
fn distrust(lab: &Lab, site: &Site) -> Result<String> {
    let server = site.start(lab, TOKEN, true)?;
    for (options, words) in [
        (String::new(), "option tls_verify '0'"),
        (cacert() + &option("tls_server_name", "frps.example.net"), "for another name"),
        (cacert() + &option("tcp_mux", "0"), "are options port, tls and tcp_mux as they are"),
    ] {
        lab.write_config(&config(lab, &options))?;
        let start = Instant::now();
        let mut agent = lab.start_agent()?;
        agent.wait_line(start, words, UP_LIMIT)?;
        agent.stop(5 * SECOND)?;
    }
    ensure!(server.count("login") == 0, "it was let in: {}", server.tail(10));
    Ok("a certificate that nobody vouches for, or for another name: no login; options unlike the server's: said".into())
}

/// What happens to a server and its neighbours.
fn life(lab: &Lab, site: &Site) -> Result<Vec<String>> {
    lab.write_config(&config(lab, &cacert()))?;
    let mut said = Vec::new();
    let mut server = site.start(lab, TOKEN, true)?;
    let taken = Camera::start(&lab.internet, SECOND_PORT, "stranger")?;
    let start = Instant::now();
    let mut agent = lab.start_agent()?;
    agent.wait_line(start, "does not give us port 8555: another program has it there", UP_LIMIT)?;
    let mut watching = visit(lab, PORT, "front", UP_LIMIT)?;

    drop(taken);
    drop(visit(lab, SECOND_PORT, "back", AGAIN_LIMIT)?);
    ensure!(probe::echoes(&mut watching)?, "a neighbour's refusal broke a stream");
    said.push(
        "a port that is taken: said, got when it is free, and the other mapping's stream goes on".into(),
    );

    let stuck = stuck(lab)?;
    ensure!(probe::echoes(&mut watching)?, "a viewer who reads nothing holds up the others");
    much(&mut watching)?;
    server.wait_ping()?;
    server.is_content()?;
    drop(stuck);
    said.push("a viewer who reads nothing holds up neither the others nor the answers to pings".into());

    said.push(unnoticed(lab, &server, &agent)?);
    let mut watching = visit(lab, PORT, "front", UP_LIMIT)?;

    server.kill();
    ensure!(!probe::echoes(&mut watching)?, "a stream outlives the server");
    let start = Instant::now();
    agent.wait_line(start - SECOND, "mapping front_rtsp: frps.example.com port 7000: ", UP_LIMIT)?;
    let mut server = site.start(lab, TOKEN, true)?;
    let start = Instant::now();
    visit(lab, PORT, "front", AGAIN_LIMIT)?;
    said.push(format!("killed and started again: reached after {:.1} s", start.elapsed().as_secs_f64()));

    server.kill();
    let start = Instant::now();
    server = site.start(lab, "another token", true)?;
    agent.wait_line(
        start,
        "the server refuses the token; option token must be its auth.token",
        AGAIN_LIMIT,
    )?;
    let tries = server.count("login refused");
    ensure!((1..=4).contains(&tries), "{tries} logins with a token that is refused");
    server.kill();
    let server = site.start(lab, TOKEN, true)?;
    lab.verb(&["trigger"])?;
    visit(lab, PORT, "front", UP_LIMIT)?;
    said.push("another token: said, and with a trigger reached again once it is right".into());
    server.is_content()?;
    agent.stop(5 * SECOND)?;
    ensure!(agent.lines().iter().all(|line| !line.text.contains(TOKEN)), "the token is in the log");
    Ok(said)
}

/// Viewers who send and read nothing, until nothing more is taken from them.
fn stuck(lab: &Lab) -> Result<TcpStream> {
    let mut stream = visit(lab, PORT, "front", UP_LIMIT)?;
    stream.set_write_timeout(Some(SECOND))?;
    let piece = vec![7; 1 << 16];
    let mut sent = 0_u64;
    loop {
        match stream.write(&piece) {
            Ok(count) => sent += count as u64,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => return Err(error.into()),
        }
        ensure!(sent < 1 << 28, "everything is taken");
    }
    Ok(stream)
}

/// Our end of a connection breaks and the server's does not: the next session takes its place at once.
fn unnoticed(lab: &Lab, server: &Frps, agent: &Agent) -> Result<String> {
    let (port, start) = (server.last_port()?, Instant::now());
    lab.router.nft(&format!(
        "table ip cut {{ chain out {{ type filter hook output priority 0; tcp sport {port} tcp dport {} \
         reject with tcp reset; }}; }}\n",
        frps::PORT
    ))?;
    agent.wait_line(start, "the connection ended (", UP_LIMIT)?;
    lab.verb(&["trigger"])?;
    let line = server.wait_line(start, "replaces the session before", AGAIN_LIMIT)?;
    visit(lab, PORT, "front", UP_LIMIT)?;
    visit(lab, SECOND_PORT, "back", UP_LIMIT)?;
    lab.router.nft("delete table ip cut\n")?;
    let refused = |line: &process::Line| line.at > start && line.text.contains("does not give");
    ensure!(!agent.lines().iter().any(refused), "the port was refused:\n{}", agent.tail(20));
    ensure!(server.count("login") >= 3, "{}", server.tail(20));
    let after = (line.at - start).as_secs_f64();
    Ok(format!("cut without the server's knowledge: its session is replaced {after:.1} s later, and no port is refused"))
}
