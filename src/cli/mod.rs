//! The command line: arguments -> one verb -> exit code. One file a verb.

mod cameras;
mod check;
mod doctor;
mod help;
mod import;
mod notify;
mod once;
mod output;
mod providers;
mod run;
mod screen;
mod status;
pub(crate) mod tether;
mod topics;
mod trigger;
mod unmap;

use crate::config::nearest::did_you_mean;
use crate::paths::Paths;
use lexopt::prelude::*;
use output::{complain, say};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// All is well.
pub const OK: u8 = 0;
/// Something failed, or is not as it should be.
pub const FAILED: u8 = 1;
/// The configuration or the command line is faulty.
pub const USAGE: u8 = 2;
/// `status`: no agent runs, or it gives no answer.
pub const NO_AGENT: u8 = 3;

/// What is said where a daemon is needed and none is there.
const NOBODY: &str = "no agent is running; start it with `/etc/init.d/porchlight start` or `porchlight run`";

/// A verb: gets where everything lies and its own arguments, gives the exit code.
type Run = fn(&Paths, &[String]) -> Result<u8, Fault>;

/// Why a verb did not do its work.
pub enum Fault {
    /// Its arguments are faulty; exit code [`USAGE`].
    Usage(String),
    /// It failed; exit code [`FAILED`].
    Failed(String),
}

impl From<String> for Fault {
    fn from(text: String) -> Fault {
        Fault::Failed(text)
    }
}

impl From<&str> for Fault {
    fn from(text: &str) -> Fault {
        Fault::Failed(text.into())
    }
}

/// A row of the help.
pub struct Verb {
    /// Its name.
    pub name: &'static str,
    /// Its arguments.
    pub arguments: &'static str,
    /// What it does; the help has it beside the verb, in the same lines.
    pub doc: &'static str,
    run: Run,
}

/// All verbs, in the order of the help.
pub const VERBS: [Verb; 12] = [
    Verb {
        name: "run",
        arguments: "",
        doc: "keep names and mappings right until told to stop",
        run: run::run,
    },
    Verb { name: "once", arguments: "", doc: "one pass; exit code 0 if all is well then", run: once::run },
    Verb {
        name: "status",
        arguments: "[--json|--prometheus [FILE]] [--watch]",
        doc: "whether cameras are reached, and how all stands;\n--watch: again at each change",
        run: status::run,
    },
    Verb {
        name: "doctor",
        arguments: "[--json]",
        doc: "walk the chain from the line to the camera: the\nfirst broken link, and its mend",
        run: doctor::run,
    },
    Verb {
        name: "check",
        arguments: "[--mode]",
        doc: "what the configuration means, or all its faults",
        run: check::run,
    },
    Verb {
        name: "cameras",
        arguments: "[--json|--write NAME [IP]]",
        doc: "cameras in the LAN, and the sections to paste;\nor writes those of one",
        run: cameras::run,
    },
    Verb {
        name: "providers",
        arguments: "[NAME] [--json]",
        doc: "the DNS services; or one, with a section to paste",
        run: providers::run,
    },
    Verb {
        name: "import",
        arguments: "SOURCE [FILE] [--write]",
        doc: "what ddns, ddns-go, inadyn, ddclient or firewall\nhas (SOURCE is one of these), as sections to paste",
        run: import::run,
    },
    Verb {
        name: "trigger",
        arguments: "[wan IF [DEV]|lease|clock|tunnel|records]",
        doc: "look now; without arguments, also try again\nwhat rests; records: also ask what is published",
        run: trigger::run,
    },
    Verb {
        name: "notify",
        arguments: "test [NAME]",
        doc: "send a test by every channel, or by one",
        run: notify::run,
    },
    Verb {
        name: "unmap",
        arguments: "[--leases]",
        doc: "close the mappings that a killed agent left;\n--leases: its static leases too",
        run: unmap::run,
    },
    Verb {
        name: "help",
        arguments: "[TOPIC]",
        doc: "this text, or a page: help quickstart, symptoms",
        run: help::run,
    },
];

/// All that `porchlight help` has a page about.
pub fn topics() -> Vec<&'static str> {
    help::names().collect()
}

/// Reads the arguments of this process and runs the verb.
pub fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == tether::NAME) {
        if let Err(why) = tether::run(words) {
            complain(&why);
        }
        return ExitCode::from(FAILED);
    }
    let done = parse(lexopt::Parser::from_env()).map_err(Fault::Usage);
    let code = match done.and_then(|(verb, paths, arguments)| (verb.run)(&paths, &arguments)) {
        Ok(code) => code,
        Err(Fault::Usage(why)) => {
            let see = if why.ends_with('?') { " See" } else { "; see" };
            complain(&format!("{why}{see} `porchlight help`"));
            USAGE
        }
        Err(Fault::Failed(why)) => {
            complain(&why);
            FAILED
        }
    };
    ExitCode::from(code)
}

/// Global options may stand before and behind the verb.
fn parse(mut parser: lexopt::Parser) -> Result<(&'static Verb, Paths, Vec<String>), String> {
    let (mut root, mut config) = (PathBuf::from("/"), None);
    let mut verb = None;
    let mut arguments = Vec::new();
    while let Some(argument) = parser.next().map_err(|e| e.to_string())? {
        match argument {
            Long("root") => root = value(&mut parser)?,
            Long("config") => config = Some(value(&mut parser)?),
            // Behind a verb: the page about that one.
            Long("help") | Short('h') => arguments.extend(verb.replace("help".to_string())),
            Long("version") | Short('V') => {
                say(concat!("porchlight ", env!("CARGO_PKG_VERSION"), "\n"));
                std::process::exit(i32::from(OK));
            }
            Long(other) => arguments.push(format!("--{other}")),
            Short(other) => arguments.push(format!("-{other}")),
            Value(text) => {
                let text = text.to_string_lossy().into_owned();
                match verb {
                    None => verb = Some(text),
                    Some(_) => arguments.push(text),
                }
            }
        }
    }
    let verb = verb.ok_or_else(|| match arguments.first() {
        Some(first) => format!("unexpected argument {first}"),
        None => "what is to be done?".into(),
    })?;
    let row = VERBS.iter().find(|row| row.name == verb).ok_or_else(|| {
        let near = did_you_mean(&verb, &mut VERBS.iter().map(|row| row.name));
        format!("there is no verb {verb}{near}")
    })?;
    Ok((row, Paths::new(Path::new(&root), config), arguments))
}

fn value(parser: &mut lexopt::Parser) -> Result<PathBuf, String> {
    parser.value().map(PathBuf::from).map_err(|e| e.to_string())
}

/// For verbs that take nothing.
fn no_arguments(arguments: &[String]) -> Result<(), Fault> {
    arguments.first().map_or(Ok(()), |first| Err(unexpected(first)))
}

fn unexpected(argument: &str) -> Fault {
    Fault::Usage(format!("unexpected argument {argument}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<(&'static str, Vec<String>), String> {
        parse(lexopt::Parser::from_args(words)).map(|(verb, _, arguments)| (verb.name, arguments))
    }

    #[test]
    fn help_is_given_wherever_it_is_asked_for() {
        let page = |topic: &str| Ok(("help", vec![topic.to_string()]));
        assert_eq!(parsed(&["--help"]), Ok(("help", Vec::new())));
        assert_eq!(parsed(&["status", "--help"]), page("status"));
        assert_eq!(parsed(&["-h", "status"]), page("status"));
        assert_eq!(parsed(&["help", "status"]), page("status"));
    }

    #[test]
    fn who_mistypes_is_told_what_was_meant() {
        let why = |words: &[&str]| parsed(words).err();
        assert_eq!(why(&["statsu"]).as_deref(), Some("there is no verb statsu; did you mean 'status'?"));
        assert_eq!(why(&["xyzzy"]).as_deref(), Some("there is no verb xyzzy"));
        assert_eq!(why(&["--verbose"]).as_deref(), Some("unexpected argument --verbose"));
        assert_eq!(why(&[]).as_deref(), Some("what is to be done?"));
    }
}
