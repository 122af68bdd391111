//! Development tasks of Porchlight. `cargo xtask` alone lists them.

mod peers;

fn main() {
    let mut args = std::env::args().skip(1);
    let task = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let done = match task.as_str() {
        "peers" => peers::main(&rest),
        _ => {
            eprintln!("Tasks:\n  peers record|check   what inadyn and ddclient send, from a sealed room");
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
