//! A program that sees another date. No namespace shifts CLOCK_REALTIME, and a program asks the kernel for it by the
//! page of code that the kernel maps into each process (vdso(7)): that function is written over, in this process alone.

use super::process::Finished;
use anyhow::{bail, ensure, Context, Result};
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

/// The function.
const NAME: &[u8] = b"__vdso_clock_gettime\0";
/// Section type of the dynamic symbols (ELF, SHT_DYNSYM), and the length of one of 64 bits.
const DYNAMIC: u64 = 11;
const SYMBOL: usize = 24;

/// Runs a program to its end, to which it is this Unix time all the while. To be called where it is to run.
pub fn run(command: &Command, wall: u32) -> Result<Finished> {
    ensure!(cfg!(target_arch = "x86_64"), "the code is of x86-64");
    // It waits for a line, so that it is watched before it becomes the program.
    let mut shell = Command::new("sh");
    shell.args(["-c", "read go; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
    let pipes = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().context("cannot run sh")?;
    let pid = Pid::from_raw(child.id() as i32);
    ptrace::seize(pid, Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL)?;
    child.stdin.take().context("it has no standard input")?.write_all(b"go\n")?;
    loop {
        match waitpid(pid, None)? {
            // The shell's own beginning may be told too.
            WaitStatus::PtraceEvent(_, _, event)
                if event == Event::PTRACE_EVENT_EXEC as i32 && is_it(child.id(), command)? =>
            {
                break
            }
            WaitStatus::PtraceEvent(..) => ptrace::cont(pid, None)?,
            WaitStatus::Stopped(_, signal) => ptrace::cont(pid, signal)?,
            other => bail!("it came to {other:?} before it ran"),
        }
    }
    set_clock(child.id(), wall)?;
    ptrace::detach(pid, None)?;
    let output = child.wait_with_output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let line = format!("{command:?} at {wall}");
    Ok(Finished { line, status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) })
}

/// Whether a process is this program by now.
fn is_it(pid: u32, command: &Command) -> Result<bool> {
    let arguments = fs::read(format!("/proc/{pid}/cmdline"))?;
    Ok(arguments.split(|byte| *byte == 0).next() == Some(command.get_program().as_encoded_bytes()))
}

/// Writes over the function in a process that is stopped.
fn set_clock(pid: u32, wall: u32) -> Result<()> {
    let (base, length) = vdso(pid)?;
    let memory = File::options().read(true).write(true).open(format!("/proc/{pid}/mem"))?;
    let mut image = vec![0; length];
    memory.read_exact_at(&mut image, base)?;
    let at = function(&image).context("the kernel's page has no such function")?;
    let mut code = vec![
        0x85, 0xff, // test edi, edi: CLOCK_REALTIME is 0
        0x75, 0x12, // jne: any other clock is the kernel's
        0x48, 0xc7, 0x06, // mov qword [rsi], WALL
    ];
    code.extend(wall.to_le_bytes());
    code.extend([
        0x48, 0xc7, 0x46, 0x08, 0, 0, 0, 0, // mov qword [rsi+8], 0
        0x31, 0xc0, // xor eax, eax
        0xc3, // ret
        0xb8, 228, 0, 0, 0, // mov eax, 228: clock_gettime(2)
        0x0f, 0x05, // syscall
        0xc3, // ret
    ]);
    memory.write_all_at(&code, base + at).context("the kernel's page cannot be written")
}

/// Where the page is in a process, and how long.
fn vdso(pid: u32) -> Result<(u64, usize)> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let line = maps.lines().find(|line| line.ends_with("[vdso]")).context("there is no vdso")?;
    let (from, to) = line.split(' ').next().and_then(|range| range.split_once('-')).context("an odd map")?;
    let (from, to) = (u64::from_str_radix(from, 16)?, u64::from_str_radix(to, 16)?);
    Ok((from, usize::try_from(to - from)?))
}

/// Where the function is in the page, which is an ELF file of 64 bits.
fn function(image: &[u8]) -> Option<u64> {
    let number = |at: usize, length: usize| {
        let mut bytes = [0; 8];
        bytes.get_mut(..length)?.copy_from_slice(image.get(at..at + length)?);
        Some(u64::from_le_bytes(bytes))
    };
    let place = |at: usize| usize::try_from(number(at, 8)?).ok();
    let (table, size, count) = (place(0x28)?, number(0x3a, 2)? as usize, number(0x3c, 2)? as usize);
    let section = |index: usize| table + index * size;
    let symbols = (0..count).map(section).find(|at| number(at + 4, 4) == Some(DYNAMIC))?;
    let names = place(section(number(symbols + 40, 4)? as usize) + 24)?;
    let (first, length) = (place(symbols + 24)?, place(symbols + 32)?);
    let mut all = (first..first + length).step_by(SYMBOL);
    let is_it = |at: &usize| {
        let name = number(*at, 4).map(|name| names + name as usize);
        name.and_then(|name| image.get(name..name + NAME.len())) == Some(NAME)
    };
    number(all.find(is_it)? + 8, 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_sees_the_date_that_it_is_given() {
        let date = |wall| run(Command::new("date").args(["-u", "+%Y-%m-%d"]), wall).unwrap();
        assert_eq!(date(86_400).stdout, "1970-01-02\n");
        assert_eq!(date(1_800_000_000).stdout, "2027-01-15\n");
        let failed = run(&Command::new("false"), 0).unwrap();
        assert!(!failed.status.success());
    }
}
