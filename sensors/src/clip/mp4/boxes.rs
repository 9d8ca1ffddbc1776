//! Big-endian fields and boxes in memory. Nothing here panics or allocates: what is not there is `None`.

/// Bytes being read from the front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Option<i32> {
        self.u32().map(u32::cast_signed)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// A full box's version and flags.
    pub(super) fn version(&mut self) -> Option<(u8, u32)> {
        let word = self.u32()?;
        Some(((word >> 24) as u8, word & 0x00ff_ffff))
    }

    /// A table's rows of `row` bytes: as many as it claims, or as there are.
    pub(super) fn rows(&mut self, row: usize) -> Option<std::slice::ChunksExact<'a, u8>> {
        let claimed = usize::try_from(self.u32()?).ok()?;
        let there = self.0.len() / row;
        self.take(claimed.min(there) * row).map(|rows| rows.chunks_exact(row))
    }
}

/// The boxes inside `bytes`, up to the first that does not fit.
pub(super) fn children(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = Bytes(bytes);
    std::iter::from_fn(move || {
        let here = rest.0.len();
        let size = rest.u32()?;
        let name: [u8; 4] = rest.take(4)?.try_into().ok()?;
        let content = match size {
            0 => rest.0.len(),
            1 => usize::try_from(rest.u64()?).ok()?.checked_sub(16)?,
            size => (size as usize).checked_sub(8)?,
        };
        debug_assert!(rest.0.len() < here);
        Some((name, rest.take(content)?))
    })
}

/// The first box named `name` inside `bytes`.
pub(super) fn child<'a>(bytes: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    children(bytes).find(|(found, _)| found == name).map(|(_, content)| content)
}

/// The box at a path of names.
pub(super) fn at<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |inside, name| child(inside, name))
}
