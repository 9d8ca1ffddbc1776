//! Where a passphrase comes from: a file, or the person at the terminal, who does not see it while typing.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::exit::{Failure, Result};
use crate::files;

/// Where a passphrase comes from.
#[derive(Clone)]
pub enum Passphrase {
    /// From this file; a line break at its end does not count.
    File(PathBuf),
    /// From the terminal.
    Terminal,
    /// It is known.
    Given(String),
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Terminal => f.write_str("Terminal"),
            Self::Given(_) => f.write_str("Given"),
        }
    }
}

impl Passphrase {
    /// The passphrase of a key that exists.
    pub fn ask(&self, prompt: &str) -> Result<Zeroizing<String>> {
        match self {
            Self::Given(phrase) => Ok(Zeroizing::new(phrase.clone())),
            Self::Terminal => from_terminal(prompt),
            Self::File(path) => {
                let text = String::from_utf8(files::read(path, 64 << 10)?);
                let text = text.map_err(|_| Failure::refused(format!("{}: no text", path.display())))?;
                let text = Zeroizing::new(text);
                Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
            }
        }
    }

    /// A new passphrase; at the terminal it is typed twice.
    pub fn choose(&self, prompt: &str) -> Result<Zeroizing<String>> {
        let phrase = self.ask(prompt)?;
        if matches!(self, Self::Terminal) && *self.ask("Once more: ")? != *phrase {
            return Err(Failure::usage("the two differ; nothing was made"));
        }
        Ok(phrase)
    }
}

fn from_terminal(prompt: &str) -> Result<Zeroizing<String>> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!("no terminal to ask for a passphrase ({error}); give --passphrase-file FILE"))
    };
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(failed)?;
    write!(terminal, "{prompt}").and_then(|()| terminal.flush()).map_err(failed)?;
    let before = tcgetattr(&terminal).map_err(|error| failed(error.into()))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(|error| failed(error.into()))?;
    let mut line = Zeroizing::new(String::new());
    let read = BufReader::new(&terminal).read_line(&mut line);
    // Whatever came of reading, the terminal must echo again.
    let restored = tcsetattr(&terminal, OptionalActions::Flush, &before);
    read.map_err(failed)?;
    restored.map_err(|error| failed(error.into()))?;
    let _ = writeln!(terminal);
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}
