//! Where everything lies. `--root DIR` moves all of it, for tests and for offline images.

use std::path::{Path, PathBuf};

/// The paths of one agent.
#[derive(Clone, Debug)]
pub struct Paths {
    /// `/`, or what `--root` says.
    pub root: PathBuf,
    /// The configuration file.
    pub config: PathBuf,
    /// Private directory in tmpfs: socket, lock and state.
    pub run_dir: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// Held by the one running instance.
    pub lock: PathBuf,
    /// Held by the one pass that waits for its turn.
    pub queue: PathBuf,
    /// There while the one-shot mode (`option resident '0'`) is switched on; the init script makes it.
    pub one_shot: PathBuf,
    /// What was done.
    pub state: PathBuf,
    /// On flash: when records were sent that are sent once more in time.
    pub kept: PathBuf,
}

impl Paths {
    /// Paths below `root`; `config` is taken as it is.
    pub fn new(root: &Path, config: Option<PathBuf>) -> Paths {
        let run_dir = root.join("var/run/porchlight");
        Paths {
            config: config.unwrap_or_else(|| root.join("etc/config/porchlight")),
            socket: run_dir.join("control.sock"),
            lock: run_dir.join("lock"),
            queue: run_dir.join("queue"),
            one_shot: run_dir.join("one-shot"),
            state: run_dir.join("state"),
            kept: root.join("etc/porchlight/refresh"),
            root: root.to_path_buf(),
            run_dir,
        }
    }

    /// A path of the configuration (a CA file, a secret's file), below the root.
    pub fn under_root(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}
