//! The archive that the kernel unpacks as its first file system: cpio in the form "newc", as the kernel's
//! Documentation/driver-api/early-userspace/buffer-format.rst has it.

/// An archive in the making. Directories must be put in before what lies in them.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

const FILE: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
const DEVICE: u32 = 0o020_000;
/// The kernel aligns what follows a name and what follows a file's content.
const ALIGN: usize = 4;

impl Archive {
    /// Puts a directory in. Paths have no slash at their beginning.
    pub fn directory(&mut self, path: &str) {
        self.entry(path, DIRECTORY | 0o755, (0, 0), &[]);
    }

    /// Puts a file in, with its permissions.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entry(path, FILE | mode & 0o7777, (0, 0), content);
    }

    /// Puts a symbolic link in.
    pub fn link(&mut self, path: &str, target: &str) {
        self.entry(path, LINK | 0o777, (0, 0), target.as_bytes());
    }

    /// Puts a character device in, such as the console (5, 1), which process 1 finds open.
    pub fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.entry(path, DEVICE | 0o600, (major, minor), &[]);
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        let size = content.len() as u32;
        let name = path.len() as u32 + 1;
        let (inode, uid, gid, links, time) = (self.entries, 0, 0, 1, 0);
        let fields = [inode, mode, uid, gid, links, time, size, 0, 0, device.0, device.1, name, 0];
        self.bytes.extend(b"070701");
        fields.iter().for_each(|field| self.bytes.extend(format!("{field:08X}").bytes()));
        self.bytes.extend(path.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGN), 0);
    }

    /// The whole archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn another_reader_sees_what_was_put_in() {
        let mut archive = Archive::default();
        archive.directory("etc");
        archive.file("etc/motd", 0o640, b"hello");
        archive.link("etc/issue", "motd");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % ALIGN, 0);
        let dir = tempfile::tempdir().unwrap();
        let mut busybox = Command::new("busybox");
        busybox.args(["cpio", "-i", "-d"]).current_dir(dir.path());
        let mut child = busybox.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("busybox");
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(std::fs::read(dir.path().join("etc/issue")).unwrap(), b"hello");
        let meta = std::fs::metadata(dir.path().join("etc/motd")).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o777, 0o640);
    }
}
