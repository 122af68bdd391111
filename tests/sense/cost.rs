//! What all sensors together cost in system calls.

use super::*;

/// How long the idle agent is watched.
const IDLE: Duration = Duration::from_secs(3);

/// A system call that is easy to find in strace's output.
fn mark(name: &str) {
    let _ = std::fs::metadata(format!("/porchlight-mark-{name}"));
}

/// All sensors of an agent together, as strace(1) sees them: what they cost on a quiet LAN, on a chatty one, and per
/// event of a camera.
#[test]
fn what_the_sensors_cost_in_system_calls() {
    const NAME: &str = "cost::what_the_sensors_cost_in_system_calls";
    if std::env::var_os(INSIDE).is_some() {
        ip("link set lo up");
        return all_sensors_under_strace();
    }
    let Some(way) = way_in() else {
        return skipped("no network namespaces here (unshare, iproute2), or not allowed");
    };
    if !Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .output()
        .is_ok_and(|out| out.status.success())
    {
        return skipped("no strace here, or not allowed");
    }
    let tree = Tree::new("strace");
    let file = tree.0.join("calls");
    let text = run_self(
        &[&["timeout", "120"], way, &["strace", "-f", "-qq", "-o", file.to_str().unwrap()]].concat(),
        NAME,
    );
    let threads = text.split_once("threads ").unwrap().1.lines().next().unwrap();
    let threads: Vec<&str> = threads.split(' ').collect();
    let calls = std::fs::read_to_string(&file).unwrap();
    let between = |from: &str, to: &str| {
        let part = calls
            .split_once(&format!("mark-{from}\""))
            .unwrap()
            .1
            .split_once(&format!("mark-{to}\""))
            .unwrap()
            .0;
        // A call that another thread interrupted has a second line; a signal is no call.
        let ours = |line: &&str| {
            let (tid, call) = line.split_once(' ').unwrap();
            threads.contains(&tid) && !call.trim_start().starts_with(['<', '-'])
        };
        // The first line is the rest of the mark's own.
        part.lines().skip(1).filter(ours).count()
    };
    let (idle, chatty, mixed) =
        (between("idle", "idle-end"), between("chatty", "chatty-end"), between("mixed", "mixed-end"));
    println!("idle, {IDLE:?}: {idle} system calls");
    println!("{} events of 20 neighbours: {chatty} system calls", 20 * 50);
    println!(
        "21 x 20 events, one in 21 of a camera: {mixed} system calls, {:.2} per event",
        mixed as f64 / 420.0
    );
    assert_eq!(idle, 0);
    assert_eq!(chatty, 0);
    assert!(mixed > 0 && mixed <= 2 * 420);
}

fn all_sensors_under_strace() {
    lan();
    device("wan0", "p0");
    ip_batch("addr add 203.0.113.7/24 dev wan0\nroute add default via 203.0.113.1");
    let network = Network::open().unwrap();
    network.set_wans(&named("wan0"));
    watch_camera(&network);
    let signals = Signals::register().unwrap();
    let tree = Tree::new("idle");
    let paths = Paths::usual(&tree.0);
    let (tx, rx) = smol::channel::unbounded();
    let (done, finished) = smol::channel::bounded::<()>(1);
    let script = std::thread::spawn(move || {
        // Duplicate address detection of the link-local addresses must be over.
        std::thread::sleep(IDLE);
        let own = rustix::thread::gettid().as_raw_nonzero().to_string();
        let tids = std::fs::read_dir("/proc/self/task")
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap());
        println!("threads {}", tids.filter(|tid| *tid != own).collect::<Vec<_>>().join(" "));
        mark("idle");
        std::thread::sleep(IDLE);
        mark("idle-end");
        let chatter = chatter(50);
        mark("chatty");
        ip_batch(&chatter);
        mark("chatty-end");
        mark("mixed");
        for round in 0..20 {
            let state = ["reachable", "stale"][round % 2];
            let camera = format!("neigh replace 192.168.1.9 lladdr 02:00:00:00:00:09 dev lan0 nud {state}\n");
            ip_batch(&(self::chatter(1) + &camera));
        }
        mark("mixed-end");
        done.try_send(()).unwrap();
    });
    let sensors = async {
        let network = async { network.run(teller(tx.clone())).await.unwrap() };
        let files = async { files::run(paths, teller(tx.clone())).await.unwrap() };
        let clock = async { clock::run(teller(tx.clone())).await.unwrap() };
        let signals = async { assert_eq!(signals.next().await.unwrap(), Signal::Stop) };
        or(or(network, files), or(clock, signals)).await;
        panic!("a sensor ended");
    };
    let agent = async {
        let mut events = 0;
        while or(async { rx.recv().await.is_ok() }, async { finished.recv().await.is_err() }).await {
            events += 1;
        }
        assert!(events > 20, "the camera's events came: {events}");
    };
    smol::block_on(or(agent, sensors));
    script.join().unwrap();
}
