//! Development tasks of Porchlight. `cargo xtask` alone lists them.

mod bench;
mod lab;
mod peers;

fn main() {
    let mut args = std::env::args().skip(1);
    let task = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let done = match task.as_str() {
        "bench" => bench::main(&rest),
        "peers" => peers::main(&rest),
        _ => {
            eprintln!("Tasks:\n  bench                 one table beside inadyn and ddclient; --help tells more\n  peers record|check   what inadyn and ddclient send, from a sealed room");
            std::process::exit(2);
        }
    };
    match done {
        Ok(code) => std::process::exit(code),
        Err(error) => {
            eprintln!("{task}: {error:#}");
            std::process::exit(1);
        }
    }
}
