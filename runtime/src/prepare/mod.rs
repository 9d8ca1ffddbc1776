//! Frame → input tensor, exactly as the model's manifest says.

pub mod geometry;
