//! Which known names a mistyped one comes nearest to, for messages.

/// Up to three of `known` that `wanted` may have meant, best first: other case, part of it, or few letters off.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let lower = wanted.to_lowercase();
    let most = (wanted.chars().count() / 3).max(2);
    let mut ranked: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|name| {
            let other = name.to_lowercase();
            let apart = if other == lower {
                0
            } else if lower.len().min(other.len()) > 2 && (other.contains(&lower) || lower.contains(&other)) {
                1
            } else {
                distance(&lower, &other, most)?
            };
            Some((apart, name))
        })
        .collect();
    ranked.sort_unstable();
    ranked.dedup();
    ranked.into_iter().take(3).map(|(_, name)| name).collect()
}

/// A sentence's end for messages: `; did you mean A, B?`, or nothing.
pub fn hint<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = nearest(wanted, known);
    if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(", ")) }
}

/// Levenshtein's distance, `None` above `most`. Names are short; longer ones than 128 letters are not compared.
fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let b: Vec<char> = b.chars().collect();
    if a.chars().count().abs_diff(b.len()) > most || b.len() > 128 || a.len() > 512 {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, letter) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = at + 1;
        for (column, other) in b.iter().enumerate() {
            let changed = corner + usize::from(letter != *other);
            corner = row[column + 1];
            row[column + 1] = changed.min(corner + 1).min(row[column] + 1);
        }
    }
    row.last().copied().filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_finds_the_one_that_was_meant() {
        let known = ["VEHICLE_SPEED", "WHEEL_SPEEDS", "BRAKE", "STEER_ANGLE"];
        assert_eq!(nearest("VEHICLE_SPED", known), ["VEHICLE_SPEED"]);
        assert_eq!(nearest("brake", known), ["BRAKE"]);
        assert_eq!(nearest("SPEED", known), ["VEHICLE_SPEED", "WHEEL_SPEEDS"]);
        assert!(nearest("GEARBOX_TEMPERATURE", known).is_empty());
        assert_eq!(hint("BRAKES", known), "; did you mean BRAKE?");
        assert_eq!(hint("xyz", known), "");
    }
}
