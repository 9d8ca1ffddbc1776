//! `stopline calibrate`: the lens from pictures of a board, the camera's place from marks in the yard.

mod lens;
mod marks;
mod mount;
mod parameters;
mod views;

use std::io::Write as _;
use std::path::Path;

use crate::calibrate::file::CalibrationFile;
use crate::exit::{Exit, Failure, OrExit};
use crate::output::OutputFile;

/// Arguments of `stopline calibrate`.
#[derive(clap::Args, Debug)]
#[command(after_help = "In the order they are used:
  1. print a chessboard, glue it on glass or aluminium, and take 15 to 30 pictures of it with the camera (all of it in
     the picture; near and far; in each corner; leaning to each side), then
       stopline calibrate lens --board 9x6 --square 30mm --camera front --out front.cal.toml 'board/*.jpg'
  2. put the vehicle on level ground with marks at measured places, take one picture, then
       stopline calibrate mount front.cal.toml --height 1.31 --front 1.6 \\
           --mark 421,512=6,1.5,0 --mark 871,509=6,-1.5,0 --mark 640,402=14,0,0
Without a board: stopline calibrate parameters --hfov 60 --picture 1280x720 … , for benches and first tries.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// The lens, from pictures of a chessboard.
    Lens(lens::Args),
    /// Height, pitch, roll and yaw, from marks at known places.
    Mount(mount::Args),
    /// A file from known lens data, or from a file of OpenCV's; nothing is measured.
    Parameters(parameters::Args),
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Lens(args) => lens::run(args),
        What::Mount(args) => mount::run(args),
        What::Parameters(args) => parameters::run(args),
    }
}

fn write(path: &Path, file: &CalibrationFile) -> Result<(), Failure> {
    let mut out = OutputFile::create(path).or_exit(Exit::Output)?;
    let done = out.write_all(file.text().as_bytes());
    out.named(done).or_exit(Exit::Output)?;
    out.commit().or_exit(Exit::Output)
}

/// Two whole numbers as people write them: `9x6`, `1280x720`.
fn pair(text: &str) -> Result<[u32; 2], String> {
    let refuse = || format!("{text:?} is no pair; write two numbers with an x between them");
    let (a, b) = text.split_once(['x', 'X', '×']).ok_or_else(refuse)?;
    Ok([a.trim().parse().map_err(|_| refuse())?, b.trim().parse().map_err(|_| refuse())?])
}

/// A length with its unit: `30mm`, `3cm`, `0.03m`.
fn length(text: &str) -> Result<f64, String> {
    let units = [("mm", 0.001), ("cm", 0.01), ("m", 1.0)];
    let found = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim(), *factor)));
    let (digits, factor) = found.ok_or_else(|| format!("{text:?} has no unit; write 30mm, 3cm or 0.03m"))?;
    let metres = digits.parse::<f64>().map_err(|_| format!("{digits:?} is no number"))? * factor;
    if (0.001..=5.0).contains(&metres) {
        Ok(metres)
    } else {
        Err(format!("{text} is not between 1mm and 5m"))
    }
}

/// Numbers with commas between them.
fn numbers<const N: usize>(text: &str) -> Option<[f64; N]> {
    let all: Vec<f64> = text.split(',').map(|part| part.trim().parse().ok()).collect::<Option<_>>()?;
    let all: [f64; N] = all.try_into().ok()?;
    all.iter().all(|value| value.is_finite()).then_some(all)
}
