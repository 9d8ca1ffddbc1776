//! A program that signs: whatever a KMS, a smart card or a house rule needs.

use std::error::Error;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use super::Signer;
use crate::key::Key;

/// Bytes of an answer, at most: an RSA signature of 4096 bits and some.
const MAX_ANSWER: u64 = 1024;

/// A program that reads the bytes to sign from its standard input and writes the signature, and nothing else, to its
/// standard output. It may talk to the one at the terminal over its standard error.
#[derive(Debug, Clone)]
pub struct CommandSigner {
    program: String,
    arguments: Vec<String>,
    key: Key,
}

impl CommandSigner {
    /// Signs for `key` by running `program` with `arguments`, without a shell.
    pub fn new(program: impl Into<String>, arguments: Vec<String>, key: Key) -> Self {
        Self { program: program.into(), arguments, key }
    }
}

impl Signer for CommandSigner {
    fn key(&self) -> &Key {
        &self.key
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child =
            command.spawn().map_err(|error| format!("{} cannot be started: {error}", self.program))?;
        let mut input = child.stdin.take().ok_or("no standard input")?;
        let output = child.stdout.take().ok_or("no standard output")?;
        // A program that answers before it has read all must not wait for us while we wait for it.
        let written = std::thread::scope(|scope| {
            let writer = scope.spawn(move || input.write_all(message));
            let mut answer = Vec::new();
            let read = output.take(MAX_ANSWER + 1).read_to_end(&mut answer);
            (writer.join(), read.map(|_| answer))
        });
        let status = child.wait()?;
        let (written, answer) = written;
        let answer = answer?;
        let expected = |found: &str| format!("{} wrote {found}, expected a signature", self.program);
        if answer.len() as u64 > MAX_ANSWER {
            return Err(expected(&format!("more than {MAX_ANSWER} bytes")).into());
        }
        if !status.success() {
            return Err(format!("{} ended with {status}", self.program).into());
        }
        written.map_err(|_| "writing to it failed")??;
        if answer.is_empty() {
            return Err(expected("nothing").into());
        }
        Ok(answer)
    }
}
