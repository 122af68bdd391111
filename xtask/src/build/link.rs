//! The linker: zig's ld.lld, called by its own name, for zig's C compiler does not pass `--icf` on. What a static
//! program needs beside our objects (how it starts, and musl) is learned from zig by linking a small one.

use super::targets::Target;
use anyhow::{ensure, Context, Result};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// For ld.lld. Functions whose code is alike become one.
pub const FLAGS: &str = "--icf=all --nostdlib --build-id=none -z noexecstack -z norelro --wrap=epoll_wait";
/// The map's file name.
pub const MAP: &str = "porchlight.map";
/// Words of zig's call that are not wanted: the unwinding tables' index and what is stripped.
const UNWANTED: [&str; 3] = ["--eh-frame-hdr", "-s", "--as-needed"];
/// Smaller ones of musl's functions, see there.
pub const MUSL_SOURCE: &str = include_str!("musl.c");
/// What an agent at rest gives back, see there.
pub const REST_SOURCE: &str = include_str!("rest.c");
/// Two calls set right, see there.
pub const TIME_SOURCE: &str = include_str!("time.c");
/// What it becomes.
const TIME: &str = "time.o";
/// The least program.
const PROBE: &str = "int main(void) { return 0; }\n";

/// Writes the text of a script that links: to be called with the arguments that rustc has for ld. It leaves a map
/// of where everything lies in `out`, see [`MAP`].
///
/// # Errors
/// When zig cannot link for the target, or says nothing of how it does.
pub fn script(target: &Target, zig: &str, out: &Path) -> Result<String> {
    let (flags, objects) = split(&probe(target, zig, out)?).context("zig did not say how it links")?;
    compile(target, zig, out, "musl", MUSL_SOURCE)?;
    compile(target, zig, out, "rest", REST_SOURCE)?;
    if target.is_big() {
        compile(target, zig, out, "time", TIME_SOURCE)?;
    }
    let more = target.link_flags.replace(TIME, &format!("'{}/{TIME}'", out.display()));
    let out = out.display();
    Ok(format!(
        "#!/bin/sh
# Written by cargo xtask build. ld.lld looks for the layout in {out}.
for argument do
    shift
    case $argument in
    -lc | -lgcc | -lgcc_eh | -lunwind) ;;
    *) set -- \"$@\" \"$argument\" ;;
    esac
done
exec {zig} ld.lld {flags} {FLAGS} {more} -L'{out}' -Map='{out}/{MAP}' \"$@\" '{out}/musl.o' '{out}/rest.o' --start-group {objects} --end-group
"
    ))
}

/// Compiles C.
fn compile(target: &Target, zig: &str, out: &Path, name: &str, text: &str) -> Result<()> {
    let source = out.join(name).with_extension("c");
    fs::write(&source, text).with_context(|| format!("cannot write {}", source.display()))?;
    let Target { zig: triple, cpu, c_flags, .. } = target;
    let call = format!("{zig} cc -target {triple} -mcpu={cpu} {c_flags} -Os -c -o {name}.o {name}.c");
    let said = Command::new("sh").args(["-c", &call]).current_dir(out).stdin(Stdio::null()).output();
    let said = said.context("cannot run sh")?;
    ensure!(said.status.success(), "cannot compile {name}.c: {}", String::from_utf8_lossy(&said.stderr));
    Ok(())
}

/// Links a small program and returns zig's call of ld.lld.
fn probe(target: &Target, zig: &str, out: &Path) -> Result<String> {
    let source = out.join("probe.c");
    fs::write(&source, PROBE).with_context(|| format!("cannot write {}", source.display()))?;
    let Target { zig: triple, cpu, c_flags, .. } = target;
    let call = format!("{zig} cc -target {triple} -mcpu={cpu} {c_flags} -Os -static -o probe probe.c");
    let mut command = Command::new("sh");
    command.args(["-c", &call]).env("ZIG_VERBOSE_LINK", "1").current_dir(out).stdin(Stdio::null());
    let said = command.output().context("cannot run sh")?;
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    ensure!(said.status.success(), "zig cannot link for {triple}: {text}");
    Ok(text)
}

/// Of zig's call: the flags, and the files with what starts the program first.
fn split(text: &str) -> Option<(String, String)> {
    let line = text.lines().rev().find(|line| line.starts_with("ld.lld "))?;
    let (flags, rest) = line.strip_prefix("ld.lld ")?.split_once(" -o ")?;
    let wanted = |word: &&str| !UNWANTED.contains(word);
    let flags: Vec<_> = flags.split(' ').filter(wanted).collect();
    let is_file = |word: &&str| word.ends_with("/crt1.o") || word.ends_with(".a");
    let files: Vec<_> = rest.split(' ').filter(is_file).collect();
    (!files.is_empty()).then(|| (flags.join(" "), files.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn zigs_call_is_taken_apart() {
        let said =
            "warning: x\nld.lld -O2 --entry _start --eh-frame-hdr -s -m elf -o probe /c/crt1.o /c/probe.o \
                    --as-needed /c/libc.a /c/libcompiler_rt.a\n";
        let (flags, files) = split(said).unwrap();
        assert_eq!(flags, "-O2 --entry _start -m elf");
        assert_eq!(files, "/c/crt1.o /c/libc.a /c/libcompiler_rt.a");
        assert!(split("").is_none());
    }
}
