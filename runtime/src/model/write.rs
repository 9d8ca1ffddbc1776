//! A draft as `model.toml`, with a comment above each key that was guessed.

use super::{Draft, ModelInfo};

/// Longest line of names.
const WIDTH: usize = 100;

impl Draft {
    /// The text of `model.toml`.
    ///
    /// # Errors
    /// Where a value cannot be written as TOML.
    pub fn to_toml(&self, info: &ModelInfo) -> Result<String, toml::ser::Error> {
        let plain = toml::to_string(&self.manifest)?;
        let mut text = format!(
            "# First manifest for {}.onnx, written by `stopline model manifest`.\n# Lines marked \"Check\" are guesses. Then \
             look at the result on pictures: `stopline detect --draw DIR`.\n",
            info.stem
        );
        for line in plain.lines() {
            let key = line.split(['=', ' ']).next().unwrap_or_default();
            for note in self.notes.iter().filter(|note| note.key == key) {
                text += &format!("# Check: {}.\n", note.text);
            }
            text += &wrapped(line);
            text.push('\n');
        }
        Ok(text)
    }
}

/// A long array of names over several lines.
fn wrapped(line: &str) -> String {
    let Some((key, names)) = line.split_once(" = [\"").filter(|_| line.len() > WIDTH) else {
        return line.to_owned();
    };
    let Some(names) = names.strip_suffix("\"]") else { return line.to_owned() };
    let mut text = format!("{key} = [\n");
    let mut row = String::new();
    for name in names.split("\", \"") {
        if row.len() + name.len() + 4 > WIDTH {
            text += &format!("    {}\n", row.trim_end());
            row.clear();
        }
        row += &format!("\"{name}\", ");
    }
    text + &format!("    {}\n]", row.trim_end())
}
