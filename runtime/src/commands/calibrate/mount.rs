//! `stopline calibrate mount`.

use std::path::PathBuf;

use anyhow::anyhow;

use super::{marks, views};
use crate::calibrate::board::{self, Board};
use crate::calibrate::file::{CalibrationFile, MountFit, MountSection, Shown};
use crate::calibrate::mount::{self, Mark, Placed};
use crate::exit::{Exit, Failure, OrExit};

/// Arguments of `stopline calibrate mount`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "In the yard: stand the vehicle on level ground, empty or as it usually drives. Hang a plumb line from the lens: where it
touches the ground is the origin. From there measure with a tape, straight ahead as forwards, to the left as left. Put
down at least three marks (tape crosses, cones) far apart: two near ones left and right at about 6 m, one at 12 m or
more. Measure the lens' height. Take one picture without moving anything, and read the marks' pixels in any viewer.

  stopline calibrate mount front.cal.toml --height 1.31 --front 1.6 \\
      --mark 421,512=6,1.5,0 --mark 871,509=6,-1.5,0 --mark 640,402=14,0,0

With a board instead of marks: stand it upright at a right angle to the way ahead and say where its lower left inner
corner is; --height is needed, since one board alone does not tell pitch from height:

  stopline calibrate mount front.cal.toml --height 1.31 --front 1.6 \\
      --picture yard.jpg --board 9x6 --square 10cm --board-at 5,0.4,0.5

On a ship, a beach or a plain the horizon will do: --horizon 100,371 --horizon 1180,374 --ahead 640,380.

Exit codes: 0 written; 3 the marks contradict each other or tell too little (--accept-poor writes it all the same)."
)]
pub struct Args {
    /// The calibration file to add the place to.
    file: PathBuf,
    /// Write here instead of into FILE.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Metres from the ground to the lens, measured; without it three marks or more must tell it.
    #[arg(long, value_name = "METRES")]
    height: Option<f64>,
    /// Metres from the lens forwards to the front of the vehicle.
    #[arg(long, value_name = "METRES", allow_negative_numbers = true)]
    front: f64,
    /// Metres from the vehicle's middle to the lens, positive to the left.
    #[arg(long, value_name = "METRES", default_value_t = 0.0, allow_negative_numbers = true)]
    lateral: f64,
    /// A mark: where it is seen, and where it is.
    #[arg(long = "mark", value_name = "U,V=FORWARDS,LEFT,UP", value_parser = marks::mark, allow_hyphen_values = true)]
    marks: Vec<Mark>,
    /// A point of the horizon; twice for roll.
    #[arg(long = "horizon", value_name = "U,V", value_parser = marks::horizon)]
    horizon: Vec<Mark>,
    /// A point straight ahead of the vehicle, at any height.
    #[arg(long = "ahead", value_name = "U,V", value_parser = marks::ahead)]
    ahead: Vec<Mark>,
    /// Picture with a board at a known place.
    #[arg(long, value_name = "PICTURE", requires_all = ["board", "square", "board_at", "height"])]
    picture: Option<String>,
    /// Inner corners of that board.
    #[arg(long, value_name = "CxR", value_parser = super::pair, requires = "picture")]
    board: Option<[u32; 2]>,
    /// Side of its squares.
    #[arg(long, value_name = "LENGTH", value_parser = super::length, requires = "picture")]
    square: Option<f64>,
    /// Place of its lower left inner corner.
    #[arg(long, value_name = "FORWARDS,LEFT,UP", value_parser = marks::place, requires = "picture", allow_hyphen_values = true)]
    board_at: Option<[f64; 3]>,
    /// How much load and springs change the pitch, standard deviation in degrees; added to what the marks leave open.
    #[arg(long, value_name = "DEGREES", default_value_t = 0.4, value_parser = sigma)]
    load_pitch: f64,
    /// Write the place although it is poor.
    #[arg(long)]
    accept_poor: bool,
}

/// Largest RMS of marks for a picture 1280 pixels wide: 5 cm at 10 m are 5 px through a lens of 1000 px.
const MOST_RMS: f64 = 6.0;
/// Largest standard deviation of the pitch from the marks, in degrees.
const MOST_PITCH: f64 = 0.25;

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut file = CalibrationFile::read(&args.file).or_exit(Exit::Input)?;
    let lens = file.lens();
    let marks = gathered(args, &file)?;
    let placed = mount::place(&lens, &marks, args.height).or_exit(Exit::Input)?;
    print!("{}", table(&placed, args));
    let poor = problems(&placed, &marks, file.picture[0]);
    if !poor.is_empty() && !args.accept_poor {
        let problem = anyhow!("too poor to be used, nothing was written:\n  - {}", poor.join("\n  - "));
        return Err(Failure::new(Exit::Input, problem));
    }
    for problem in &poor {
        eprintln!("stopline: poor, and written all the same: {problem}");
    }
    file.poor.retain(|known| !known.starts_with(MOUNT));
    file.poor.extend(poor.iter().map(|problem| format!("{MOUNT}{problem}")));
    let sigma = placed.deviations[0].to_degrees().hypot(args.load_pitch);
    file.mount = Some(MountSection {
        height_m: placed.mount.height,
        pitch_deg: placed.mount.pitch.to_degrees(),
        roll_deg: placed.mount.roll.to_degrees(),
        yaw_deg: placed.mount.yaw.to_degrees(),
        pitch_sigma_deg: sigma,
        front_m: args.front,
        lateral_m: args.lateral,
        fit: Some(MountFit {
            rms_px: placed.rms,
            marks: marks.len(),
            deviations_deg: [0, 1, 2].map(|i| placed.deviations[i].to_degrees()),
            height_deviation_m: placed.deviations[3],
        }),
    });
    let out = args.out.as_ref().unwrap_or(&args.file);
    // What was written must be readable again: bounds are the reader's.
    CalibrationFile::parse(&file.text(), out).or_exit(Exit::Input)?;
    super::write(out, &file)?;
    println!("written: {}", out.display());
    Ok(())
}

/// Before what `poor` says of the place.
const MOUNT: &str = "mount: ";

fn gathered(args: &Args, file: &CalibrationFile) -> Result<Vec<Mark>, Failure> {
    let mut all: Vec<Mark> =
        [&args.marks, &args.horizon, &args.ahead].into_iter().flatten().copied().collect();
    if let (Some(picture), Some([columns, rows]), Some(square), Some(at)) =
        (&args.picture, args.board, args.square, args.board_at)
    {
        let image = views::one_picture(picture)?;
        let shown = Shown { picture: [image.width(), image.height()], ..Shown::default() };
        file.fits(&file.camera, &shown).or_exit(Exit::Input)?;
        let board = Board { columns: columns as usize, rows: rows as usize, square };
        let corners = board::find(&image, &board)
            .map_err(|why| Failure::new(Exit::Input, anyhow!("{picture}: {why}")))?;
        all.extend(mount::board_marks(&corners, board.columns, board.rows, square, at));
    }
    if all.is_empty() {
        let problem = anyhow!(
            "give --mark three times, or --picture with a board, or --horizon twice; --help says how"
        );
        return Err(Failure::new(Exit::Usage, problem));
    }
    Ok(all)
}

fn problems(placed: &Placed, marks: &[Mark], width: u32) -> Vec<String> {
    let mut all = Vec::new();
    let most = MOST_RMS * f64::from(width) / 1280.0;
    if placed.rms > most {
        let worst = placed.misses.iter().zip(marks).max_by(|a, b| a.0.total_cmp(b.0));
        let worst = worst.map_or(String::new(), |(miss, mark)| {
            let (Mark::Point { seen, .. } | Mark::Horizon { seen } | Mark::Ahead { seen }) = mark;
            format!("; worst is the one at {:.0},{:.0} with {miss:.1} px: measure it again", seen[0], seen[1])
        });
        all.push(format!(
            "the marks contradict each other by {:.1} px, expected {most:.1} or less{worst}",
            placed.rms
        ));
    }
    let pitch = placed.deviations[0].to_degrees();
    if pitch > MOST_PITCH {
        all.push(format!(
            "the pitch is known to {pitch:.2} degrees, expected {MOST_PITCH}: add marks farther away, or measure --height"
        ));
    }
    all
}

fn table(placed: &Placed, args: &Args) -> String {
    let degrees = |value: f64| value.to_degrees();
    let height = match args.height {
        Some(_) => "measured".to_owned(),
        None => format!("± {:.3} m", placed.deviations[3]),
    };
    let angle = |name: &str, value: f64, at: usize, how: &str| {
        format!("{name:<8} {:>7.2} degrees ± {:.2}, {how}\n", degrees(value), degrees(placed.deviations[at]))
    };
    let side = |value: f64, yes: &'static str, no: &'static str| if value >= 0.0 { yes } else { no };
    let Placed { mount, rms, misses, .. } = placed;
    format!(
        "height   {:>7.3} m, {height}\n{}{}{}marks    {:>7} with an RMS of {rms:.2} px\n",
        mount.height,
        angle("pitch", mount.pitch, 0, side(mount.pitch, "looks down", "looks up")),
        angle("roll", mount.roll, 1, side(mount.roll, "right side lower", "left side lower")),
        angle("yaw", mount.yaw, 2, side(mount.yaw, "looks to the left", "looks to the right")),
        misses.len(),
    )
}

fn sigma(text: &str) -> Result<f64, String> {
    let degrees: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if (0.05..=5.0).contains(&degrees) { Ok(degrees) } else { Err("expected 0.05 to 5 degrees".into()) }
}
