//! Frames become a dataset: sealed records from the server's store are opened on the operator's own machine, and leave it as
//! COCO and YOLO, for people to label and for models to learn from.
//!
//! In walk order:
//! - [`identity`]: the key that opens records; it is never on a server.
//! - [`captured`]: a record opened, and what is remembered of it; [`picture`]: what its picture looks like.
//! - [`scenes`]: what belongs together and must not be torn apart; [`choose`]: duplicates go, the rest is balanced.
//! - [`annotation`]: boxes with who drew them; [`coco`] and [`yolo`]: their formats.
//! - [`folder`]: what the operator keeps: labels, frozen test sets, what was given to training, what was forgotten.
//! - [`selection`]: a list of records from the server's page, where not all of the store is wanted.
//! - [`export`], [`merge`], [`audit`], [`freeze`], `gallery`: the commands. [`erase`]: `forget`'s part.
//!
//! **No leak** (the rule; `dataset/scenes.rs` has its property test): records of one device less than the scene gap apart
//! belong to one scene, and so do two records, of whatever devices and times, whose pictures look alike. A scene is whole in
//! training, whole in validation, or touched by a frozen test set and then in neither.
//!
//! **Nothing but content decides**: the same store, folder and seed give the same bytes.

pub mod annotation;
pub mod audit;
pub mod captured;
pub mod choose;
pub mod coco;
pub mod erase;
pub mod export;
pub mod folder;
pub mod freeze;
#[cfg(feature = "serve")]
pub mod gallery;
pub mod identity;
pub mod merge;
pub mod picture;
pub mod scenes;
pub mod selection;
pub mod yolo;
