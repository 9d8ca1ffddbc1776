//! `stopline demo`.

use std::path::PathBuf;

use crate::demo::{self, CLIPS, Clip, DemoOptions};
use crate::exit::Failure;

/// Arguments of `stopline demo`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  stopline demo
  stopline demo --once --headless
  stopline demo --clip fall --directory seen

Without --once the clips go on until Ctrl-C. Nothing is armed and no bus is opened. The directory holds the decision
records, the commands with their frames, a report for each clip and the configurations; it is not taken away.

Exit code 14, with --once: an event that is in a clip was not found.")]
pub struct Args {
    /// Play every clip once and end.
    #[arg(long)]
    once: bool,
    /// Do not open the live page.
    #[arg(long)]
    headless: bool,
    /// Play only this clip.
    #[arg(long, value_name = "NAME", value_parser = clip)]
    clip: Option<&'static Clip>,
    /// Write everything here: a new or an empty folder.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// A folder with model.onnx, model.toml and clips/ in place of what is bundled.
    #[arg(long, value_name = "DIR")]
    kit: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    demo::run(&DemoOptions {
        once: args.once,
        headless: args.headless,
        clip: args.clip,
        directory: args.directory.clone(),
        kit: args.kit.clone(),
    })
}

fn clip(name: &str) -> Result<&'static Clip, String> {
    let known = || CLIPS.iter().map(|clip| clip.name).collect::<Vec<_>>().join(", ");
    Clip::named(name).ok_or_else(|| format!("there is {}", known()))
}
