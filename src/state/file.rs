//! The files of the agent's memory: one in tmpfs, replaced by rename, so that a power cut or a kill at any instant leaves
//! the old or the new one; and one that outlives the boot.

use super::State;
use std::io;
use std::path::Path;

/// A larger file is not ours.
const SIZE_CAP: u64 = 1 << 20;

/// Reads the state file. A missing file is an empty state.
///
/// # Errors
/// Why it was set aside (as `FILE.bad`); the agent starts empty then, and asks before it writes.
pub fn load(path: &Path, boot_id: &str) -> Result<State, String> {
    match std::fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
        Ok(meta) if meta.len() > SIZE_CAP => return Err(set_aside(path, "it is too large")),
        _ => {}
    }
    let text = std::fs::read_to_string(path).map_err(|e| set_aside(path, &e.to_string()))?;
    State::from_text(&text, boot_id).map_err(|why| set_aside(path, &why))
}

/// Reads the file as it is, for those who only look; empty where it cannot be trusted.
pub fn peek(path: &Path, boot_id: &str) -> State {
    let small = std::fs::metadata(path).is_ok_and(|meta| meta.len() <= SIZE_CAP);
    let text = if small { std::fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    State::from_text(&text, boot_id).unwrap_or_default()
}

fn set_aside(path: &Path, why: &str) -> String {
    let bad = path.with_extension("bad");
    let moved = std::fs::rename(path, &bad);
    let what = if moved.is_ok() { format!("set aside as {}", bad.display()) } else { "ignored".into() };
    format!("state file {} {what}: {why}", path.display())
}

/// Writes the state file: a new file beside it, then a rename.
///
/// # Errors
/// Names the file.
pub fn save(path: &Path, text: &str) -> Result<(), String> {
    let new = path.with_extension("new");
    let done = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, path));
    done.map_err(|e| format!("cannot write the state file {}: {e}", path.display()))
}

/// Reads the file that outlives the boot. A missing file is an empty state.
///
/// # Errors
/// Why it is not taken.
pub fn load_kept(path: &Path) -> Result<State, String> {
    let read = || -> Result<State, String> {
        match std::fs::metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
            Ok(meta) if meta.len() > SIZE_CAP => return Err("it is too large".into()),
            _ => {}
        }
        State::from_text(&std::fs::read_to_string(path).map_err(|e| e.to_string())?, "")
    };
    read().map_err(|why| format!("{} is not taken: {why}", path.display()))
}

/// Writes the file that outlives the boot, which a power cut leaves as it was or as it is to be. Nobody else reads it.
///
/// # Errors
/// Names the file.
pub fn save_kept(path: &Path, text: &str) -> Result<(), String> {
    use std::io::Write as _;
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let new = path.with_extension("new");
    let write = || -> io::Result<()> {
        if let Some(dir) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        // One that another left may be readable.
        let _ = std::fs::remove_file(&new);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    };
    write().map_err(|e| format!("cannot write {}: {e}", path.display()))
}
