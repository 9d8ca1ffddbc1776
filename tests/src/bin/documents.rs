//! Manual pages and shell completions of the three programs, from the definitions of their command lines, and the journal's
//! catalogue:
//!
//! ```text
//! cargo build --release --workspace --all-features --bin documents
//! target/release/documents target/documents
//! ```
//!
//! `FOLDER/man1/stopline-replay.1`, one page for each command; `FOLDER/completions/stopline.{bash,fish}` and `_stopline` for
//! zsh; `FOLDER/stopline.catalog`. cross/package puts them into the packages.

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _, Parser};
use clap_complete::Shell;

/// Help for what the log says.
const CATALOGUE: &str = include_str!("../../../systemd/catalogue.txt");

/// Where to.
#[derive(Parser)]
struct Arguments {
    /// Folder to write; it is made.
    folder: PathBuf,
}

fn main() -> std::io::Result<()> {
    let Arguments { folder } = Arguments::parse();
    let programs = [
        stopline::commands::Cli::command(),
        stopline_agent::commands::Cli::command(),
        stopline_fleet::cli::command(),
    ];
    for program in programs {
        write(program, &folder)?;
    }
    std::fs::write(folder.join("stopline.catalog"), stopline_journal::catalogue(CATALOGUE))
}

fn write(program: Command, folder: &Path) -> std::io::Result<()> {
    let (pages, completions) = (folder.join("man1"), folder.join("completions"));
    std::fs::create_dir_all(&pages)?;
    std::fs::create_dir_all(&completions)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        let name = program.get_name().to_owned();
        clap_complete::generate_to(shell, &mut program.clone(), name, &completions)?;
    }
    clap_mangen::generate_to(program, pages)
}
