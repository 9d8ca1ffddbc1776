//! File systems that can be full: a tmpfs each for the board and for the server, filled with a file of nothing.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of its own; gone with the test.
pub(super) struct Disk {
    place: PathBuf,
}

impl Disk {
    /// Mounted at `place`, which it makes; `None` where that is not allowed here.
    pub(super) fn mount(place: &Path, megabytes: u32) -> Option<Self> {
        std::fs::create_dir_all(place).unwrap();
        let size = format!("size={megabytes}m,mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(place).output();
        let disk = mounted.is_ok_and(|output| output.status.success());
        disk.then(|| Self { place: place.to_owned() })
    }

    /// Takes all room that is left.
    pub(super) fn fill(&self) {
        let mut file = File::create(self.ballast()).unwrap();
        for size in [1 << 20, 4 << 10, 1] {
            while file.write_all(&vec![7; size]).is_ok() {}
        }
    }

    /// Gives it back.
    pub(super) fn empty(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.place.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a program that a failed test left may still be ending.
        let _ = Command::new("umount").arg("-l").arg(&self.place).status();
    }
}
