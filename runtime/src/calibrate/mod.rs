//! **How a camera sees**: its lens from pictures of a board, its place on the vehicle from marks in the yard, and the
//! file both are kept in.
//!
//! In walk order: [`grey`] (a picture as numbers), [`saddle`] (where four squares meet), [`lattice`] (which of them form
//! a board), [`board`] (the board that was asked for, or why it is not there), [`plane`] (homographies and poses),
//! [`lens`] (the two lens models), [`solve`] (least squares), [`intrinsics`] (lens from views), [`quality`] (what is too
//! poor to be used), [`mount`] (place on the vehicle), [`opencv`] (other people's files), [`mod@file`] (ours), [`draw`]
//! (pictures for people).
//!
//! Pixels are counted as in OpenCV: the centre of the first pixel is (0, 0).

pub mod board;
mod decide;
pub mod draw;
pub mod file;
pub mod grey;
pub mod intrinsics;
pub mod lattice;
pub mod lens;
pub mod mount;
pub mod opencv;
pub mod plane;
pub mod quality;
pub mod saddle;
#[cfg(test)]
mod scene;
pub mod solve;
