//! A wall camera: `stopline run` with the bundled model sees the bundled fall through a real camera node, switches a lamp on
//! by a real line, and leaves a message for the agent. As `sight` in all else.

use std::path::Path;

use stopline_depot::outbox::{self, Message, Subject};
use stopline_sensors::clock::{Clock, Monotonic, SystemClock};

use crate::daemon::{Daemon, RUN, fresh_folder, said, seeing};
use crate::film::{FALL, Form};
use crate::lines;
use crate::rig::{Found, ensure, tell_kernel};
use crate::scene::{Scene, Shown, second};
use crate::sight::{arming, switched_off};

/// The line of the lamp.
const LAMP: u32 = 2;

fn config(chip: &str) -> String {
    format!(
        r#"{seeing}[[actuator]]
kind = "gpio"
name = "lamp"
chip = "{chip}"
line = {LAMP}
mode = "level"
pull = "down"
when = "fall"
[[actuator]]
kind = "outbox"
name = "staff"
folder = "{RUN}/outbox"
{arming}"#,
        seeing = seeing("name = \"corridor\"\nfunctions = [\"fall\"]\n", Form::Mjpeg),
        arming = arming(chip),
    )
}

pub fn fall() -> Found {
    fresh_folder()?;
    let (chip, switch) = switched_off()?;
    let scene = Scene::start(&FALL, Form::Mjpeg, Box::new(|_| Ok(())))?;
    let mut daemon = Daemon::start(&config(&chip))?;
    daemon.wait("ready", |health| health.state.name == "ready")?;
    tell_kernel(&switch, "pull-up")?;
    daemon.wait("armed and active", |health| health.arming.armed && health.state.name == "active")?;
    let mut lamp = Vec::new();
    scene.go_on(|| {
        if lines::level(LAMP)? {
            lamp.push(SystemClock.monotonic());
        }
        daemon.lives()
    })?;
    let health = daemon.health().ok_or("no health file")?;
    tell_kernel(&switch, "pull-down")?;
    drop(daemon);
    judge(&scene.end()?, &lamp, &messages()?)
        .map_err(|wrong| format!("{wrong}; {:?}; {}", health.cameras, said()))
}

/// What waits for the agent.
fn messages() -> Result<Vec<Message>, String> {
    let waiting = outbox::waiting(&Path::new(RUN).join("outbox")).map_err(|error| error.to_string())?;
    waiting.iter().map(|one| outbox::read(&one.path).map_err(|error| error.to_string())).collect()
}

/// Against what the recording's truth says: not while somebody walks, and within seconds once they lie.
fn judge(shown: &Shown, lamp: &[Monotonic], messages: &[Message]) -> Found {
    let truth = FALL.truth()?;
    let lit = second(shown, *lamp.first().ok_or("the lamp stayed dark")?).ok_or("the lamp was on before")?;
    ensure((truth.from_s..truth.to_s).contains(&lit), || {
        format!("the lamp at {lit:.2} s, the fall is from {} s on", truth.from_s)
    })?;
    let falls: Vec<&Message> = messages.iter().filter(|message| message.subject == Subject::Fall).collect();
    ensure(falls.len() == 1 && falls[0].persons_down == 1 && falls[0].armed, || {
        format!("one message of one person down is expected: {messages:?}")
    })?;
    Ok(format!("fell at {:.2} s, the lamp at {lit:.2} s, one message of one person down", truth.from_s))
}
