//! Which label of the model is which category of the dataset: as `--map` says, else by name, else by name without
//! regard to case, spaces and punctuation (`stop_sign`, `Stop Sign`).

use super::EvalError;
use super::coco::Category;

/// Labels brought together with categories.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    /// Per label: index into the dataset's categories; `None` where the dataset has none for it.
    pub category_of: Vec<Option<usize>>,
    /// Per category: whether some label stands for it.
    pub known: Vec<bool>,
    /// Sentences to tell: names that were matched only loosely.
    pub told: Vec<String>,
}

impl Labels {
    /// Brings all `labels` of a model together with `categories`.
    ///
    /// # Errors
    /// [`EvalError::Labels`] if a pair of `maps` names what does not exist, or nothing fits.
    pub fn assign(
        labels: &[String],
        categories: &[Category],
        maps: &[(String, String)],
    ) -> Result<Self, EvalError> {
        let assigned = Self::assign_seen(labels, categories, maps)?;
        if let Some((label, _)) = maps.iter().find(|(label, _)| !labels.contains(label)) {
            return Err(EvalError::Labels(format!(
                "--map {label}=…: the model has no label {label:?}; it has {}",
                listed(labels.iter().map(String::as_str))
            )));
        }
        Ok(assigned)
    }

    /// As [`Labels::assign`] for the labels that happen to occur in a file: a pair of `maps` may name another. Every
    /// category counts as known, since the file does not say what the model could have found.
    pub fn assign_seen(
        labels: &[String],
        categories: &[Category],
        maps: &[(String, String)],
    ) -> Result<Self, EvalError> {
        let mut assigned = Self { known: vec![false; categories.len()], ..Self::default() };
        for label in labels {
            let category = assigned.category(label, categories, maps)?;
            assigned.category_of.push(category);
            if let Some(category) = category {
                assigned.known[category] = true;
            }
        }
        if let Some((_, name)) =
            maps.iter().find(|(_, name)| !categories.iter().any(|category| category.name == *name))
        {
            return Err(no_such_category(name, categories));
        }
        if !labels.is_empty() && !assigned.known.contains(&true) {
            return Err(EvalError::Labels(format!(
                "no label of the model is a category of the dataset: labels {}; categories {}; say which is which with \
                 --map label=category",
                listed(labels.iter().map(String::as_str)),
                listed(categories.iter().map(|category| category.name.as_str()))
            )));
        }
        Ok(assigned)
    }

    fn category(
        &mut self,
        label: &str,
        categories: &[Category],
        maps: &[(String, String)],
    ) -> Result<Option<usize>, EvalError> {
        let named = |name: &str| categories.iter().position(|category| category.name == name);
        if let Some((_, name)) = maps.iter().find(|(from, _)| from == label) {
            return named(name).map(Some).ok_or_else(|| no_such_category(name, categories));
        }
        if let Some(exact) = named(label) {
            return Ok(Some(exact));
        }
        let loose = loosened(label);
        let mut alike =
            categories.iter().enumerate().filter(|(_, category)| loosened(&category.name) == loose);
        let (Some((index, category)), None) = (alike.next(), alike.next()) else { return Ok(None) };
        if loose.is_empty() {
            return Ok(None);
        }
        self.told.push(format!("label {label:?} taken for category {:?}", category.name));
        Ok(Some(index))
    }
}

/// Reads `label=category`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_map(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((label, category)) if !label.is_empty() && !category.is_empty() => {
            Ok((label.into(), category.into()))
        }
        _ => Err(format!("expected label=category, found {text:?}")),
    }
}

/// The first names of a list, for a message.
pub fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 8;
    let names: Vec<&str> = names.collect();
    let shown = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "none".into(),
        count if count > SHOWN => format!("{shown} and {} more", count - SHOWN),
        _ => shown,
    }
}

fn no_such_category(name: &str, categories: &[Category]) -> EvalError {
    EvalError::Labels(format!(
        "--map …={name}: the dataset has no category {name:?}; it has {}",
        listed(categories.iter().map(|category| category.name.as_str()))
    ))
}

fn loosened(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests;
