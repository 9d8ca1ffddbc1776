//! Prints the tables of the scenario suite, as they stand in `tests/results`:
//!
//! ```text
//! cargo run --release --workspace --all-features --bin scenarios -- --runs 100 --minutes 6000 --falls 50
//! ```
//!
//! Every number is drawn from seeds: the same tree and the same counts print the same text.

use clap::Parser;
use stopline_tests::scenario::measured::Measured;
use stopline_tests::scenario::tables::{Counts, all};

/// Counts of the tables.
#[derive(Parser)]
struct Arguments {
    /// Runs per cell.
    #[arg(long, default_value_t = 100)]
    runs: usize,
    /// Simulated minutes per row of clutter.
    #[arg(long, default_value_t = 6000)]
    minutes: usize,
    /// Runs per fall sequence.
    #[arg(long, default_value_t = 50)]
    falls: usize,
}

fn main() {
    let Arguments { runs, minutes, falls } = Arguments::parse();
    println!(
        "## Scenarios: {runs} runs per cell, {minutes} minutes per row of clutter, {falls} runs per fall\n"
    );
    println!("What the cells mean and what they stand on: tests/scenarios/README.md.\n");
    let failed = all(&Measured::load(), Counts { runs, minutes, falls }, &mut |text| print!("{text}"));
    println!("Failed cells in all tables: {}", failed.len());
}
