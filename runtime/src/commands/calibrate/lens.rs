//! `stopline calibrate lens`.

use std::path::PathBuf;

use anyhow::anyhow;
use stopline_sensors::clock::{Clock, SystemClock};

use super::views::{self, Gatherer, Views};
use crate::calibrate::board::{Board, SIDE};
use crate::calibrate::draw;
use crate::calibrate::file::{CalibrationFile, LensFit, LensSection, Origin, SCHEMA};
use crate::calibrate::intrinsics::{self, Solution};
use crate::calibrate::lens::Model;
use crate::calibrate::quality::{self, Limits};
use crate::exit::{Exit, Failure, OrExit};

/// Arguments of `stopline calibrate lens`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  stopline calibrate lens --board 9x6 --square 30mm --camera front --out front.cal.toml 'board/*.jpg'
  stopline calibrate lens --board 9x6 --square 30mm --camera front --out front.cal.toml /dev/video0 --draw seen
  stopline calibrate lens --board 8x5 --square 5cm --lens kannala-brandt --camera wall --out wall.cal.toml board.mp4

Of a recording or a camera, a frame becomes a view when the board stands elsewhere than in all views before; hold it
still for half a second. Pictures in which the board is not found are named with what was found instead.

Exit codes: 0 written; 3 no board, pictures of different sizes, or the calibration is too poor (--accept-poor writes it
and says so in the file).")]
pub struct Args {
    /// Pictures, folders, globs, recordings, or a camera.
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<String>,
    /// Inner corners along a row and rows of them: where four squares meet.
    #[arg(long, value_name = "CxR", value_parser = super::pair)]
    board: [u32; 2],
    /// Side of a square, measured on the print: 30mm, 3cm, 0.03m.
    #[arg(long, value_name = "LENGTH", value_parser = super::length)]
    square: f64,
    /// The lens model; kannala-brandt for fisheye lenses.
    #[arg(long, value_enum, default_value_t = Model::BrownConrady)]
    lens: Model,
    /// What the camera is called in the configuration.
    #[arg(long, value_name = "NAME")]
    camera: String,
    /// Its serial number; then the file is refused for another one.
    #[arg(long, value_name = "SERIAL")]
    serial: Option<String>,
    /// Part of the sensor that the pictures show, where the camera crops: X,Y,WIDTH,HEIGHT.
    #[arg(long, value_name = "X,Y,W,H", value_parser = crop)]
    crop: Option<[u32; 4]>,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Most views to use.
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u16).range(3..=200))]
    views: u16,
    /// Write each view with its corners, and the first and last one without distortion, into this folder.
    #[arg(long, value_name = "DIR")]
    draw: Option<PathBuf>,
    /// Write the file although the calibration is poor; it says so itself, and `check` refuses to brake by it.
    #[arg(long)]
    accept_poor: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let board = board(args)?;
    if let Some(folder) = &args.draw {
        std::fs::create_dir_all(folder).map_err(|cause| {
            Failure::new(Exit::Output, anyhow!("{}: cannot make it: {cause}", folder.display()))
        })?;
    }
    let mut gatherer = Gatherer::new(&board, usize::from(args.views), args.draw.as_deref());
    for spec in &args.sources {
        gatherer.source(spec)?;
    }
    let views = gatherer.finish();
    if views.views.len() < 3 {
        let problem = anyhow!(
            "the board was found in {} of {} pictures, expected 8 or more: the messages above say what was found instead",
            views.views.len(),
            views.looked_at
        );
        return Err(Failure::new(Exit::Input, problem));
    }
    let found =
        intrinsics::calibrate(args.lens, &board.corners(), &views.views, views.size).or_exit(Exit::Input)?;
    let poor = quality::problems(&found, &views.views, views.size, &Limits::default());
    let file = file(args, &board, &views, &found, &poor);
    draw_undistorted(args, &views, &found)?;
    print!("{}", table(&file, &views, &found));
    if !poor.is_empty() && !args.accept_poor {
        let problem = anyhow!("too poor to be used, nothing was written:\n  - {}", poor.join("\n  - "));
        return Err(Failure::new(Exit::Input, problem));
    }
    for problem in &poor {
        eprintln!("stopline: poor, and written all the same: {problem}");
    }
    super::write(&args.out, &file)?;
    println!("written: {}; next: stopline calibrate mount {}", args.out.display(), args.out.display());
    Ok(())
}

fn board(args: &Args) -> Result<Board, Failure> {
    let [columns, rows] = args.board.map(|side| side as usize);
    if !SIDE.contains(&columns) || !SIDE.contains(&rows) {
        let problem = anyhow!(
            "--board {columns}x{rows}: expected {} to {} inner corners along each side",
            SIDE.start(),
            SIDE.end()
        );
        return Err(Failure::new(Exit::Usage, problem));
    }
    Ok(Board { columns, rows, square: args.square })
}

fn crop(text: &str) -> Result<[u32; 4], String> {
    super::numbers::<4>(text)
        .filter(|all| all.iter().all(|v| *v >= 0.0 && *v <= 65_536.0 && v.fract() == 0.0))
        .map(|all| all.map(|v| v as u32))
        .ok_or_else(|| format!("{text:?}: expected X,Y,WIDTH,HEIGHT in pixels"))
}

fn file(args: &Args, board: &Board, views: &Views, found: &Solution, poor: &[String]) -> CalibrationFile {
    let d = &found.deviations;
    CalibrationFile {
        schema: SCHEMA,
        camera: args.camera.clone(),
        serial: args.serial.clone(),
        made: today(),
        from: Origin::Board,
        picture: views.size,
        crop: args.crop,
        poor: poor.to_vec(),
        lens: LensSection {
            model: args.lens,
            focal: found.lens.focal,
            centre: found.lens.centre,
            distortion: found.lens.distortion.clone(),
            fit: Some(LensFit {
                rms_px: found.rms,
                deviations_px: [d[0], d[1], d[2], d[3]],
                covered: quality::covered(&views.views, views.size),
                board: (board.columns, board.rows, board.square),
                views: views
                    .views
                    .iter()
                    .zip(&found.rms_of)
                    .map(|(view, rms)| (view.name.clone(), *rms))
                    .collect(),
            }),
        },
        mount: None,
    }
}

/// The day in UTC: a label.
pub(super) fn today() -> String {
    let since = SystemClock.wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let days = (since.as_secs() / 86_400) as i64;
    // Civil date from days since 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms").
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

fn draw_undistorted(args: &Args, views: &Views, found: &Solution) -> Result<(), Failure> {
    let (Some(folder), Some(first), Some(last)) = (&args.draw, views.views.first(), views.views.last())
    else {
        return Ok(());
    };
    for (view, name) in [(first, "first"), (last, "last")] {
        // A camera's frame is gone; its drawing with corners stays.
        if let Ok(picture) = views::one_picture(&view.name)
            && [picture.width(), picture.height()] == views.size
        {
            views::save(
                &draw::undistorted(&picture, &found.lens),
                &folder.join(format!("{name}-undistorted.jpg")),
            )?;
        }
    }
    Ok(())
}

fn table(file: &CalibrationFile, views: &Views, found: &Solution) -> String {
    let [width, height] = views.size;
    let [fx, fy] = found.lens.focal;
    let [cx, cy] = found.lens.centre;
    let d = &found.deviations;
    let view = found.lens.field_of_view(views.size);
    let angles = view.map_or("more than the model can say".to_owned(), |[across, down]| {
        format!("{across:.1} degrees across, {down:.1} down")
    });
    let coefficients: Vec<String> = found.lens.distortion.iter().map(|k| format!("{k:.5}")).collect();
    let covered = file.lens.fit.as_ref().map_or(0.0, |fit| fit.covered);
    let worst = found.rms_of.iter().copied().fold(0.0, f64::max);
    format!(
        "views          {} of {} pictures, {width}x{height}\n\
         lens           {}, {angles}\n\
         focal length   {fx:.2} ± {:.2}, {fy:.2} ± {:.2} px\n\
         centre         {cx:.2} ± {:.2}, {cy:.2} ± {:.2} px\n\
         distortion     {}\n\
         RMS            {:.3} px, worst view {worst:.3} px\n\
         covered        {:.0} % of the picture\n",
        views.views.len(),
        views.looked_at,
        file.lens.model.name(),
        d[0],
        d[1],
        d[2],
        d[3],
        coefficients.join(" "),
        found.rms,
        covered * 100.0,
    )
}
