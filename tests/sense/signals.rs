//! Signals, and the clock.

use super::*;

#[test]
fn the_clock_is_silent_while_nobody_sets_it() {
    let (tx, rx) = smol::channel::unbounded();
    let run = async {
        clock::run(teller(tx)).await.unwrap();
        panic!("the sensor ended");
    };
    smol::block_on(or(silence(&rx), run));
}

fn raise(signal: &str) {
    assert!(Command::new("kill").args([signal, &std::process::id().to_string()]).status().unwrap().success());
}

#[test]
fn signals_become_a_stream() {
    if std::env::var_os(INSIDE).is_none() {
        let exe = std::env::current_exe().unwrap();
        let out = Command::new("timeout")
            .args(["60", exe.to_str().unwrap(), "--exact", "signals::signals_become_a_stream", "--nocapture"])
            .env(INSIDE, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(text.contains("stop seen"), "{text}{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(out.status.code(), Some(IMPATIENT), "the second request to stop ends it at once");
        return;
    }
    let signals = Signals::register().unwrap();
    smol::block_on(async {
        for _ in 0..3 {
            raise("-HUP");
            assert_eq!(signals.next().await.unwrap(), Signal::Reload);
        }
        raise("-TERM");
        assert_eq!(signals.next().await.unwrap(), Signal::Stop);
        println!("stop seen");
        raise("-INT");
        smol::future::pending::<()>().await;
    });
}
