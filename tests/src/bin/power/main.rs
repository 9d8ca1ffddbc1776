//! What the power switch is tried on (`tests/board/power`): runs inside the machine whose power is cut. Updates a depot and
//! fills a spool on a real file system, tells what is certain, and afterwards looks whether it was.
//!
//! ```text
//! power write  DISK SYNCS [SECONDS [MARKED]]    update after update, record after record, until the power is cut
//! power check  DISK TOLD                        what the next start finds, beside what was told (lines of `write`)
//! power replay BASE LOG IMAGE DISK CUTS SEED    the same for many cuts of what dm-log-writes recorded
//! power torn   DISK                             spoils what is there: the check must find it
//! ```
//!
//! SYNCS is `synced`, or `unsynced` for the control that must come to harm.

mod certain;
mod disk;
mod random;
mod spool;
mod update;
mod writelog;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use stopline_depot::disk::RealDisk;
use stopline_sensors::clock::{Clock as _, SystemClock};

use certain::{Certain, Told};
use disk::Unsynced;

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    let done = match given.as_slice() {
        ["write", disk, syncs, rest @ ..] => write(Path::new(disk), syncs, rest),
        ["check", disk, told] => check(Path::new(disk), Path::new(told)),
        ["replay", base, log, image, disk, cuts, seed] => {
            let places = [base, log, image, disk].map(PathBuf::from);
            writelog::replay(&places, cuts.parse().unwrap_or(0), seed.parse().unwrap_or(1))
        }
        ["torn", disk] => torn(Path::new(disk)),
        other => Err(format!("no part {other:?}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            println!("POWER FAILED {wrong}");
            ExitCode::FAILURE
        }
    }
}

/// Both sides work at once, so that one cut meets an update and the spool.
fn write(disk: &Path, syncs: &str, rest: &[&str]) -> Result<(), String> {
    let seconds =
        rest.first().map(|text| text.parse().map_err(|_| format!("{text:?} seconds"))).transpose()?;
    let told = Told::new(rest.get(1).map(|name| (*name).to_owned()));
    let (begun, limit) = (SystemClock.monotonic(), seconds.map(Duration::from_secs));
    let goes_on = move || limit.is_none_or(|limit| SystemClock.monotonic().since(begun) < limit);
    let (places, spool_told) = (disk.to_owned(), told.clone());
    let synced = syncs == "synced";
    let spooling = std::thread::spawn(move || match synced {
        true => spool::write(RealDisk, &places, &spool_told, &goes_on),
        false => spool::write(Unsynced, &places, &spool_told, &goes_on),
    });
    let updated = match synced {
        true => update::write(&RealDisk, disk, &told, &goes_on),
        false => update::write(&Unsynced, disk, &told, &goes_on),
    };
    updated?;
    spooling.join().map_err(|_| "the spool's thread panicked".to_owned())?
}

/// One verdict, `POWER WHOLE …` or `POWER HARM …`.
fn check(disk: &Path, told: &Path) -> Result<(), String> {
    let told = std::fs::read_to_string(told).map_err(|error| format!("{}: {error}", told.display()))?;
    let certain = Certain::of(told.lines());
    match look(disk, &certain) {
        Ok(found) => println!("POWER WHOLE {found}"),
        Err(harm) => println!("POWER HARM {harm}"),
    }
    std::io::stdout().flush().map_err(|error| error.to_string())
}

/// What the next start finds.
fn look(disk: &Path, certain: &Certain) -> Result<String, String> {
    let update = update::look(disk, certain)?;
    let spool = spool::look(disk, certain)?;
    Ok(format!("{update}; {spool}"))
}

/// Cuts the end off a bundle that decides and of a record that waits, one after the other, and looks.
fn torn(disk: &Path) -> Result<(), String> {
    for (what, file) in [("bundle", update::a_bundle(disk)?), ("record", spool::a_record(disk)?)] {
        let whole = std::fs::read(&file).map_err(|error| error.to_string())?;
        std::fs::write(&file, &whole[..whole.len() / 2]).map_err(|error| error.to_string())?;
        let found = look(disk, &Certain::default());
        std::fs::write(&file, &whole).map_err(|error| error.to_string())?;
        match found {
            Ok(_) => println!("POWER BLIND a torn {what} was not found: {}", file.display()),
            Err(harm) => println!("POWER SAW a torn {what}: {harm}"),
        }
    }
    Ok(())
}
