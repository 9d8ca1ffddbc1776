//! `stopline run`, as the checks with films start it.

use std::process::{Child, Command as Program};
use std::time::Duration;

use stopline_depot::health::Health;
use stopline_sensors::clock::{Clock, SystemClock};

use crate::film::{Form, RATE, SIZE};
use crate::mjpeg::LOOPBACK;
use crate::rig::{ensure, pause};

/// Its folder: configuration, health, what it said.
pub const RUN: &str = "/tmp/sight";
/// The bundled model's folder.
const DEMO: &str = "/demo";
/// Of the machine's own time, which is a minute of ours or more.
const START: Duration = Duration::from_secs(5);

/// The folder, empty.
pub fn fresh_folder() -> Result<(), String> {
    let _ = std::fs::remove_dir_all(RUN);
    std::fs::create_dir_all(RUN).map_err(|error| error.to_string())
}

/// The beginning of a configuration: the loopback camera, which `camera` names and says what it is for, and the bundled model.
pub fn seeing(camera: &str, form: Form) -> String {
    let (width, height, code) = (SIZE.0, SIZE.1, form.code());
    format!(
        r#"schema = 1
[run]
directory = "{RUN}"
lock_memory = false
[[camera]]
source = "{LOOPBACK}"
declared_latency_ms = 20
guard = {{ min_rate = 10.0 }}
{camera}[camera.v4l2]
size = [{width}, {height}]
fps = {RATE}.0
formats = ["{code}"]
[[model]]
name = "detector"
onnx = "{DEMO}/stopline-small.onnx"
manifest = "{DEMO}/model.toml"
"#
    )
}

/// The last lines of what it said.
pub fn said() -> String {
    let said = std::fs::read_to_string(format!("{RUN}/said")).unwrap_or_default();
    let last: Vec<&str> = said.lines().rev().take(12).collect();
    format!("it said last: {}", last.into_iter().rev().collect::<Vec<_>>().join(" | "))
}

/// `stopline run`. Dropped, it is killed.
pub struct Daemon(Child);

impl Daemon {
    /// With this configuration, in its folder, which is fresh.
    pub fn start(config: &str) -> Result<Self, String> {
        std::fs::write(format!("{RUN}/stopline.toml"), config).map_err(|error| error.to_string())?;
        let said = std::fs::File::create(format!("{RUN}/said")).map_err(|error| error.to_string())?;
        let mut program = Program::new(stopline_tests::stopline());
        let child = program.args(["run", "--config", &format!("{RUN}/stopline.toml")]).stderr(said).spawn();
        child.map(Self).map_err(|error| format!("stopline: {error}"))
    }

    /// What its health file says.
    pub fn health(&self) -> Option<Health> {
        Health::read(format!("{RUN}/health.json").as_ref()).ok()
    }

    /// An error where it has ended.
    pub fn lives(&mut self) -> Result<(), String> {
        match self.0.try_wait().map_err(|error| error.to_string())? {
            None => Ok(()),
            Some(status) => Err(format!("stopline ended: {status}; {}", said())),
        }
    }

    /// Until its health is as `wanted`, within [`START`].
    pub fn wait(&mut self, what: &str, wanted: impl Fn(&Health) -> bool) -> Result<(), String> {
        let begun = SystemClock.monotonic();
        while !self.health().is_some_and(|health| wanted(&health)) {
            self.lives()?;
            ensure(SystemClock.monotonic().since(begun) < START, || {
                let state = self.health().map(|health| (health.state, health.cameras));
                format!("not {what} within {START:?}: {state:?}; {}", said())
            })?;
            pause(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
