//! Marks as the command line gives them.

use crate::calibrate::mount::Mark;

/// `U,V=FORWARDS,LEFT,UP`.
pub fn mark(text: &str) -> Result<Mark, String> {
    let parts = || {
        let (seen, place) = text.split_once('=')?;
        Some(Mark::Point { seen: super::numbers(seen)?, place: super::numbers(place)? })
    };
    parts().ok_or_else(|| {
        format!("{text:?}: expected U,V=FORWARDS,LEFT,UP: pixels from the upper left, metres from the ground below the lens")
    })
}

/// `U,V` of a point of the horizon.
pub fn horizon(text: &str) -> Result<Mark, String> {
    super::numbers(text).map(|seen| Mark::Horizon { seen }).ok_or_else(|| pixel(text))
}

/// `U,V` of a point straight ahead.
pub fn ahead(text: &str) -> Result<Mark, String> {
    super::numbers(text).map(|seen| Mark::Ahead { seen }).ok_or_else(|| pixel(text))
}

/// `FORWARDS,LEFT,UP`.
pub fn place(text: &str) -> Result<[f64; 3], String> {
    super::numbers(text).ok_or_else(|| format!("{text:?}: expected FORWARDS,LEFT,UP in metres"))
}

fn pixel(text: &str) -> String {
    format!("{text:?}: expected U,V: pixels from the upper left")
}
