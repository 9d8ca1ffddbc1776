//! `stopline calibrate parameters`: a file from known data.

use std::path::PathBuf;

use anyhow::anyhow;

use crate::calibrate::file::{CalibrationFile, LensSection, MountSection, Origin, SCHEMA};
use crate::calibrate::lens::{Lens, Model};
use crate::calibrate::opencv;
use crate::exit::{Exit, Failure, OrExit};

/// Arguments of `stopline calibrate parameters`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  stopline calibrate parameters --picture 1280x720 --hfov 60 --camera front --out front.cal.toml \\
      --height 1.3 --pitch 3 --front 1.6
  stopline calibrate parameters --opencv camera.yaml --camera front --out front.cal.toml

Nothing is measured here: a data sheet's angle of view is easily 5 % off, and distances with it. `check` says so.")]
pub struct Args {
    /// What the camera is called in the configuration.
    #[arg(long, value_name = "NAME")]
    camera: String,
    /// Its serial number; then the file is refused for another one.
    #[arg(long, value_name = "SERIAL")]
    serial: Option<String>,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Width and height of its pictures.
    #[arg(long, value_name = "WxH", value_parser = super::pair, required_unless_present = "opencv")]
    picture: Option<[u32; 2]>,
    /// Angle of view across, in degrees.
    #[arg(long, value_name = "DEGREES", conflicts_with_all = ["focal", "opencv"], required_unless_present_any = ["focal", "opencv"])]
    hfov: Option<f64>,
    /// Focal length in pixels.
    #[arg(long, value_name = "PIXELS", conflicts_with = "opencv")]
    focal: Option<f64>,
    /// OpenCV's or ROS's YAML file with camera_matrix and distortion_coefficients.
    #[arg(long, value_name = "YAML")]
    opencv: Option<PathBuf>,
    /// The lens model.
    #[arg(long, value_enum, default_value_t = Model::BrownConrady)]
    lens: Model,
    /// Metres from the ground to the lens; without it the file has no place.
    #[arg(long, value_name = "METRES", requires = "front")]
    height: Option<f64>,
    /// Degrees, positive where the camera looks down.
    #[arg(
        long,
        value_name = "DEGREES",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        requires = "height"
    )]
    pitch: f64,
    /// Degrees, positive where its right side hangs lower.
    #[arg(
        long,
        value_name = "DEGREES",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        requires = "height"
    )]
    roll: f64,
    /// Degrees, positive where it looks to the left.
    #[arg(
        long,
        value_name = "DEGREES",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        requires = "height"
    )]
    yaw: f64,
    /// Standard deviation of the pitch in degrees.
    #[arg(long, value_name = "DEGREES", default_value_t = 1.0, requires = "height")]
    pitch_sigma: f64,
    /// Metres from the lens forwards to the front of the vehicle.
    #[arg(long, value_name = "METRES", allow_negative_numbers = true, requires = "height")]
    front: Option<f64>,
    /// Metres from the vehicle's middle to the lens, positive to the left.
    #[arg(
        long,
        value_name = "METRES",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        requires = "height"
    )]
    lateral: f64,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let (lens, picture, from) = lens(args)?;
    let mount = args.height.zip(args.front).map(|(height_m, front_m)| MountSection {
        height_m,
        pitch_deg: args.pitch,
        roll_deg: args.roll,
        yaw_deg: args.yaw,
        pitch_sigma_deg: args.pitch_sigma,
        front_m,
        lateral_m: args.lateral,
        fit: None,
    });
    let file = CalibrationFile {
        schema: SCHEMA,
        camera: args.camera.clone(),
        serial: args.serial.clone(),
        made: super::lens::today(),
        from,
        picture,
        crop: None,
        poor: Vec::new(),
        lens: LensSection {
            model: lens.model,
            focal: lens.focal,
            centre: lens.centre,
            distortion: lens.distortion.clone(),
            fit: None,
        },
        mount,
    };
    CalibrationFile::parse(&file.text(), &args.out).or_exit(Exit::Usage)?;
    super::write(&args.out, &file)?;
    let angle =
        lens.field_of_view(picture).map_or_else(|| "?".to_owned(), |[across, _]| format!("{across:.1}"));
    println!("written: {}; {} lens, {angle} degrees across", args.out.display(), lens.model.name());
    if file.mount.is_none() {
        println!("next: stopline calibrate mount {}", args.out.display());
    }
    Ok(())
}

fn lens(args: &Args) -> Result<(Lens, [u32; 2], Origin), Failure> {
    if let Some(path) = &args.opencv {
        let found = opencv::read(path, args.lens == Model::KannalaBrandt).or_exit(Exit::Input)?;
        let picture = match (found.size, args.picture) {
            (Some(known), Some(given)) if known != given => {
                let problem = anyhow!(
                    "{}: for pictures of {}x{}, --picture says {}x{}: leave it out",
                    path.display(),
                    known[0],
                    known[1],
                    given[0],
                    given[1]
                );
                return Err(Failure::new(Exit::Usage, problem));
            }
            (Some(size), _) | (None, Some(size)) => size,
            (None, None) => {
                let problem =
                    anyhow!("{}: does not say the size of its pictures; add --picture WxH", path.display());
                return Err(Failure::new(Exit::Usage, problem));
            }
        };
        return Ok((found.lens, picture, Origin::Opencv));
    }
    let picture = args.picture.unwrap_or([0, 0]);
    let centre = picture.map(|side| (f64::from(side) - 1.0) / 2.0);
    let focal = match (args.focal, args.hfov) {
        (Some(focal), _) => focal,
        (None, Some(angle)) => from_angle(args.lens, picture[0], angle)?,
        (None, None) => return Err(Failure::new(Exit::Usage, anyhow!("give --hfov or --focal"))),
    };
    Ok((Lens::plain(args.lens, focal, centre), picture, Origin::Parameters))
}

fn from_angle(model: Model, width: u32, degrees: f64) -> Result<f64, Failure> {
    let most = match model {
        Model::BrownConrady => 150.0,
        Model::KannalaBrandt => 200.0,
    };
    if !(1.0..=most).contains(&degrees) {
        let problem = anyhow!("--hfov {degrees}: expected 1 to {most} degrees for a {} lens", model.name());
        return Err(Failure::new(Exit::Usage, problem));
    }
    let half = (degrees / 2.0).to_radians();
    Ok(match model {
        Model::BrownConrady => f64::from(width) / 2.0 / half.tan(),
        Model::KannalaBrandt => f64::from(width) / 2.0 / half,
    })
}
