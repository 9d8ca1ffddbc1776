//! Where in the file a key stands, for messages.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ConfigError, Misfit, PAGE};

/// The text of a configuration and its name.
pub(super) struct Place<'a> {
    text: &'a str,
    path: String,
}

impl<'a> Place<'a> {
    pub fn new(text: &'a str, path: String) -> Self {
        Self { text, path }
    }

    /// What the reader of TOML refused.
    pub fn toml(&self, error: &toml::de::Error) -> ConfigError {
        let at = error.span().map_or(0, |span| span.start);
        let before = self.text.get(..at).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
        let problem = error.message().trim_end().replace('\n', "; ");
        let page = page(section(self.text, line));
        ConfigError::Toml { path: self.path.clone(), line, column, problem, page }
    }

    /// What a check refused.
    pub fn misfit(&self, Misfit { key, found, expected }: Misfit) -> ConfigError {
        let line = self.line(&key);
        let page = page(key.split(['.', '[']).next().unwrap_or_default());
        ConfigError::Value { path: self.path.clone(), line, key, found, expected, page }
    }

    /// The line of `key`, or of the innermost section around it that is written down.
    fn line(&self, key: &str) -> usize {
        let Ok(document) = DeTable::parse(self.text) else { return 1 };
        let mut at = 0;
        let mut table = Some(document.get_ref());
        for part in key.split('.') {
            let (name, number) = split(part);
            let Some((key, value)) = table.and_then(|table| table.get_key_value(name)) else { break };
            let value = match number {
                Some(number) => value.get_ref().as_array().and_then(|list| list.get(number)),
                None => Some(value),
            };
            // A key's own line; of a section its header's.
            at = match value {
                Some(value) if number.is_some() => value.span().start,
                _ => key.span().start,
            };
            table = value.and_then(table_of);
        }
        1 + self.text.get(..at).unwrap_or_default().matches('\n').count()
    }
}

fn table_of<'t, 'i>(value: &'t Spanned<DeValue<'i>>) -> Option<&'t DeTable<'i>> {
    value.get_ref().as_table()
}

/// `camera[2]` → `camera`, 2.
fn split(part: &str) -> (&str, Option<usize>) {
    match part.split_once('[') {
        Some((name, rest)) => (name, rest.trim_end_matches(']').parse().ok()),
        None => (part, None),
    }
}

/// The section that line number `line` belongs to; empty above the first.
fn section(text: &str, line: usize) -> &str {
    let headers = text.lines().take(line).filter_map(|line| line.trim_start().strip_prefix('['));
    let last = headers.last().unwrap_or_default();
    last.trim_start_matches('[').split(['.', ']']).next().unwrap_or_default().trim()
}

fn page(section: &str) -> String {
    if section.is_empty() { PAGE.to_owned() } else { format!("{PAGE}#{section}") }
}
