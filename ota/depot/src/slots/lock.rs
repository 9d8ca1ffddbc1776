//! One writer: a lock that the kernel lets go of when its holder ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use super::error::{DepotError, io};

/// Bytes that a holder may say of itself.
const LONGEST: u64 = 80;

/// Held until it is dropped (flock(2)); the file stays.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it. The file says who holds it; that is for people, the lock is the kernel's.
    ///
    /// # Errors
    /// [`DepotError::Held`] says who has it; [`DepotError::Io`].
    pub fn take(path: &Path) -> Result<Self, DepotError> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = file.map_err(io("open", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DepotError::Held { path: path.to_owned(), by: holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(io("lock", path)(source)),
        }
        let me = format!("process {}\n", std::process::id());
        let said = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(me.as_bytes()));
        said.map_err(io("write", path))?;
        Ok(Self { _file: file })
    }
}

/// Who says that it holds the lock; whoever wrote that is not believed more than that.
fn holder(file: &mut File) -> String {
    let mut said = Vec::new();
    // It cannot be told by name then; that it is held stands.
    let _ = file.take(LONGEST).read_to_end(&mut said);
    let said: String = String::from_utf8_lossy(&said).chars().filter(|c| !c.is_control()).collect();
    if said.is_empty() { "a process that does not say its name".into() } else { said }
}
