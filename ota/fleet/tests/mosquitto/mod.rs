//! A Mosquitto as the server's own command sets it up.
#![allow(dead_code)] // every test program uses another part of it

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::house::House;

/// A broker that runs, ended with the test.
pub struct Mosquitto {
    folder: PathBuf,
    child: Child,
}

impl Mosquitto {
    /// Whether it is installed.
    pub fn is_there() -> bool {
        Command::new("mosquitto").arg("-h").output().is_ok()
    }

    /// For this server's fleet `north` and so many servers, at a port of loopback.
    pub fn of(house: &House, port: u16, servers: usize) -> Self {
        let folder = house.folder.parent().unwrap().join("mosquitto");
        let replicas: String = (1..=servers).map(|replica| format!(" --replica {replica}")).collect();
        house.well(&format!(
            "serve mosquitto {} --name localhost --name 127.0.0.1 --port {port} --fleet-name north{replicas}",
            folder.display()
        ));
        let file = folder.join("mosquitto.conf");
        let mut text = std::fs::read_to_string(&file).unwrap();
        if rustix::process::geteuid().is_root() {
            // Else it becomes a user who may not read the folder.
            text.push_str("user root\n");
        }
        std::fs::write(&file, text).unwrap();
        Self::start(&folder)
    }

    fn start(folder: &Path) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(folder.join("mosquitto.conf")).stdout(Stdio::null()).stderr(log);
        Self { folder: folder.to_owned(), child: command.spawn().unwrap() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The list of devices that are let in no more.
    pub fn crl(&self) -> Vec<u8> {
        std::fs::read(self.folder.join("revoked.crl")).unwrap()
    }

    /// Has it read its files again.
    pub fn reads_again(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    pub fn killed_and_started(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        *self = Self::start(&self.folder.clone());
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
