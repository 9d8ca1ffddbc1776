//! Convolutional networks on one core: a graph is compiled once into a plan, whose steps run in one memory without
//! allocating.
//!
//! In walk order: `graph` (layers as they are meant, checked), `plan` (layers become steps with places in memory and
//! packed weights), then what the steps do: `conv` over `tile`, `first`, `window`, `lanes`, `end`, `act`, and `whole` for eight
//! bits; under them `wide` (what kernels ask of a processor), `simd` (the wide instructions; the only unsafe code),
//! `portable` and `memory`.
//!
//! Numbers lie in blocks of channels: of a map with C channels, H rows and W columns, block c holds channels
//! c · L to c · L + L − 1 of every pixel, row by row, L being 8, or 16 with AVX-512 (the layout that others call NCHWc).

mod act;
mod conv;
mod end;
mod first;
mod graph;
mod lanes;
mod memory;
mod plan;
#[allow(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
mod portable;
#[allow(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
mod simd;
mod tile;
mod whole;
mod wide;
mod window;

pub use act::Activation;
pub use graph::{
    Both, Channel, End, Graph, GraphError, Grid, MOST_LAYERS, MOST_VALUES, Map, Measured, Placed, Table,
    View, Window,
};
pub use plan::{Memory, Plan, RunError, StepInfo, StepSize};
pub use simd::Isa;
