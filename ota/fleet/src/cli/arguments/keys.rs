//! Keys, and who signs what.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::StagingArgs;
use crate::keys::KeySpec;

/// Keys.
#[derive(Subcommand, Debug)]
pub enum KeyCommand {
    /// Make a key: NAME.pem for its holder, NAME.pub to give away.
    New {
        /// Path without ending.
        name: PathBuf,
        /// Without a passphrase: for keys that the system's own store of secrets keeps.
        #[arg(long)]
        unencrypted: bool,
        /// Beside keys that lie there already: for the online keys of one machine, never for holders'.
        #[arg(long)]
        beside_other_keys: bool,
    },
    /// Make the key pair for captured records: the identity stays with the operator, the recipient goes into devices' `[capture]`.
    Capture {
        /// File of the identity.
        file: PathBuf,
    },
    /// Make the online keys (rollout, snapshot, timestamp), unencrypted, for systemd's credentials.
    Online {
        /// Folder.
        folder: PathBuf,
    },
    /// Show a key: a .pub file, or any place a private key may lie.
    Show {
        /// FILE.pub, FILE.pem, credential:NAME, command:PROGRAM,PUBLIC or pkcs11:LIBRARY?token=…&label=….
        key: KeySpec,
        /// Write its public half there, to be given to whoever runs init or rotate.
        #[arg(long, value_name = "PUB")]
        write: Option<PathBuf>,
    },
    /// Draft a change of a role's keys: a new one for an old one.
    Rotate {
        #[command(flatten)]
        staging: StagingArgs,
        /// Role.
        role: String,
        /// Id of the key that goes.
        #[arg(long, value_name = "KEYID")]
        old: Option<String>,
        /// Public key that comes.
        #[arg(long, value_name = "PUB")]
        new: PathBuf,
    },
    /// Draft taking a key from a role.
    Revoke {
        #[command(flatten)]
        staging: StagingArgs,
        /// Role.
        role: String,
        /// Id of the key that goes.
        #[arg(value_name = "KEYID")]
        key: String,
    },
}

/// `init`.
#[derive(Args, Debug)]
pub struct Init {
    #[command(flatten)]
    pub staging: StagingArgs,
    /// Public key of someone who holds root, targets and models; three or more.
    #[arg(long, value_name = "PUB")]
    pub holder: Vec<PathBuf>,
    /// Public keys of root, where others hold it.
    #[arg(long, value_name = "PUB")]
    pub root: Vec<PathBuf>,
    /// Public keys of targets, where others hold it.
    #[arg(long, value_name = "PUB")]
    pub targets: Vec<PathBuf>,
    /// Public keys of models, where others hold it.
    #[arg(long, value_name = "PUB")]
    pub models: Vec<PathBuf>,
    /// Folder with rollout.pub, snapshot.pub and timestamp.pub.
    #[arg(long, value_name = "DIR")]
    pub online: Option<PathBuf>,
    /// Public keys of rollout.
    #[arg(long, value_name = "PUB")]
    pub rollout: Vec<PathBuf>,
    /// Public keys of snapshot.
    #[arg(long, value_name = "PUB")]
    pub snapshot: Vec<PathBuf>,
    /// Public keys of timestamp.
    #[arg(long, value_name = "PUB")]
    pub timestamp: Vec<PathBuf>,
    /// Public keys of campaigns.
    #[arg(long, value_name = "PUB")]
    pub campaigns: Vec<PathBuf>,
}

/// `sign`.
#[derive(Args, Debug)]
pub struct Sign {
    #[command(flatten)]
    pub staging: StagingArgs,
    /// Only this role's draft; default: all that the key may sign.
    pub role: Option<String>,
    /// The holder's key: FILE.pem, pkcs11:LIBRARY?token=…&label=…&pin-file=…, credential:NAME.
    #[arg(long, value_name = "KEY", required_unless_present_any = ["sign_command", "merge"])]
    pub key: Option<KeySpec>,
    /// A program that reads the bytes to sign from standard input and writes the signature to standard output.
    #[arg(long, value_name = "PROGRAM", requires = "public_key", conflicts_with = "key")]
    pub sign_command: Option<String>,
    /// The public key of --sign-command.
    #[arg(long, value_name = "PUB")]
    pub public_key: Option<PathBuf>,
    /// Take over the signatures that another holder put on a copy of the same drafts.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["key", "sign_command"])]
    pub merge: Option<PathBuf>,
}
