//! A PostgreSQL of its own: a cluster in a temporary folder, on a port of loopback, ended with the test.
#![allow(dead_code)] // every test program uses another part of it

use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A cluster that runs.
pub struct Cluster {
    folder: tempfile::TempDir,
    programs: PathBuf,
    is_root: bool,
    pub url: String,
}

impl Cluster {
    /// Starts one; `None` where PostgreSQL is not installed. It does not run as root, so there Debian's user is taken.
    pub fn start() -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir().unwrap();
        let is_root = std::fs::metadata(folder.path()).unwrap().uid() == 0;
        if is_root {
            let id = |what: &str| {
                let output = Command::new("id").args([what, "postgres"]).output().ok()?;
                String::from_utf8(output.stdout).ok()?.trim().parse::<u32>().ok()
            };
            chown(folder.path(), Some(id("-u")?), Some(id("-g")?)).unwrap();
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("postgres://stopline@127.0.0.1:{port}/postgres");
        let cluster = Self { folder, programs, is_root, url };
        let data = cluster.folder.path().join("data");
        let data = data.to_str().unwrap();
        cluster.run("initdb", &["-D", data, "-U", "stopline", "-A", "trust", "-E", "UTF8", "--no-sync"]);
        let options = format!("-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''");
        let log = cluster.folder.path().join("log");
        cluster.run("pg_ctl", &["-D", data, "-o", &options, "-l", log.to_str().unwrap(), "-w", "start"]);
        Some(cluster)
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let path = self.programs.join(program);
        let mut command = if self.is_root { Command::new("runuser") } else { Command::new(&path) };
        if self.is_root {
            command.args(["-u", "postgres", "--"]).arg(path);
        }
        // The server it leaves behind must not hold the test's pipes.
        let output = self.folder.path().join(format!("{program}.output"));
        let file = std::fs::File::create(&output).unwrap();
        command
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        let status = command.status().unwrap();
        assert!(status.success(), "{program}: {}", std::fs::read_to_string(output).unwrap());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.folder.path().join("data");
        self.run("pg_ctl", &["-D", data.to_str().unwrap(), "-m", "immediate", "-w", "stop"]);
    }
}

/// Where the newest version's programs lie; Debian keeps them off the path.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.into_iter().rev().find(|folder| has_programs(folder))
}

fn has_programs(folder: &Path) -> bool {
    ["initdb", "pg_ctl"].iter().all(|program| folder.join(program).exists())
}
