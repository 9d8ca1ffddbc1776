//! A CAN bus of this machine (SocketCAN), received and sent on without ever waiting unasked.
//!
//! [`frame`]: identifiers, frames, what error frames say. Here: the door to the bus, [`CanPort`], used by the vehicle
//! signals and by the actuator alike.
//!
//! **Time.** The kernel stamps a frame with wall time when it arrives. A frame's age is its distance from wall time now, and
//! its monotonic stamp is now less that age: a frame that waited in the queue while the process was stopped or the machine
//! slept is as old as it is. Where wall time was set back the frame counts as old as the queue may have been: it arrived
//! after the queue was last seen empty.

pub mod frame;

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use socketcan::{CanAnyFrame, CanFdSocket, EmbeddedFrame as _, Frame as _, Socket as _, SocketOptions as _};

use crate::clock::{Clock, Monotonic};
use frame::{BusFrame, BusId, BusTrouble};

/// `IFF_UP` of `linux/if.h`.
const UP: u32 = 1;

/// Which frames come in.
#[derive(Clone, Copy, Debug)]
pub enum Hear<'a> {
    /// All.
    All,
    /// None but error frames.
    Nothing,
    /// Those with one of these identifiers. The kernel takes up to 512.
    Only(&'a [BusId]),
}

/// How a bus is opened.
#[derive(Clone, Copy, Debug)]
pub struct CanOptions<'a> {
    /// Which frames come in.
    pub hear: Hear<'a>,
    /// Whether frames sent here come in too, after they were on the bus.
    pub echo: bool,
    /// Bytes that frames waiting to be sent may take up; `None`: the kernel's default.
    pub send_buffer: Option<usize>,
}

/// Why a bus cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum CanOpenError {
    /// There is none of this name.
    #[error(
        "CAN interface {interface}: there is none of this name; `ip -details link show type can` lists them"
    )]
    NoInterface {
        /// The name.
        interface: String,
    },
    /// It is there and cannot be used.
    #[error("CAN interface {interface} cannot be opened: {source}; is can-raw loaded, and AF_CAN allowed?")]
    Refused {
        /// The name.
        interface: String,
        /// Why.
        source: io::Error,
    },
}

/// What is wrong with an open bus. Small and copied, for the actuator's loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CanFault {
    /// The interface is down; it may come up again.
    #[error("the interface is down")]
    Down,
    /// The interface is gone; it must be opened again.
    #[error("the interface is gone")]
    Gone,
    /// Nothing more can be queued.
    #[error("the send queue is full")]
    QueueFull,
    /// A frame of more than eight bytes on an interface without CAN FD, or the interface refuses the frame.
    #[error("the interface does not take such a frame (longer than 8 bytes without CAN FD?)")]
    Unfit,
    /// Anything else, by the kernel's number.
    #[error("the kernel says {}", io::Error::from_raw_os_error(*.0))]
    Other(i32),
}

impl CanFault {
    fn from_io(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENETDOWN) => Self::Down,
            Some(libc::ENODEV | libc::ENXIO | libc::EBADF) => Self::Gone,
            Some(libc::ENOBUFS | libc::EAGAIN | libc::ENOMEM) => Self::QueueFull,
            Some(libc::EINVAL | libc::EMSGSIZE) => Self::Unfit,
            other => Self::Other(other.unwrap_or_default()),
        }
    }
}

/// What came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A data frame.
    Frame(BusFrame),
    /// An error frame.
    Trouble(BusTrouble),
}

/// An open bus. Dropped, it is closed.
pub struct CanPort {
    socket: CanFdSocket,
    clock: Arc<dyn Clock>,
    /// When the queue was last seen empty: nothing still in it is older.
    empty: Monotonic,
    /// The interface's flags in sysfs; `None` where there is no sysfs.
    flags: Option<File>,
}

impl CanPort {
    /// Opens the bus `interface`. It may be down: then frames fail with [`CanFault::Down`] until it is up.
    ///
    /// # Errors
    /// [`CanOpenError`].
    pub fn open(
        interface: &str,
        options: CanOptions<'_>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CanOpenError> {
        let refused = |source: io::Error| match source.raw_os_error() {
            Some(libc::ENODEV | libc::ENXIO) => CanOpenError::NoInterface { interface: interface.into() },
            _ => CanOpenError::Refused { interface: interface.into(), source },
        };
        let empty = clock.monotonic();
        let socket = CanFdSocket::open(interface).map_err(refused)?;
        let set = || -> io::Result<()> {
            socket.set_nonblocking(true)?;
            match options.hear {
                Hear::All => {}
                Hear::Nothing => socket.set_filter_drop_all()?,
                Hear::Only(ids) => {
                    let filters: Vec<(u32, u32)> = ids.iter().map(|id| (id.word(), BusId::MASK)).collect();
                    socket.set_filters(&filters)?;
                }
            }
            socket.set_error_filter_accept_all()?;
            socket.set_recv_own_msgs(options.echo)?;
            socket.set_recv_timestamp(true)?;
            if let Some(bytes) = options.send_buffer {
                socket.as_raw_socket().set_send_buffer_size(bytes)?;
            }
            Ok(())
        };
        set().map_err(refused)?;
        let flags = File::open(format!("/sys/class/net/{interface}/flags")).ok();
        Ok(Self { socket, clock, empty, flags })
    }

    /// Whether the interface is up, without sending anything; where that cannot be read, yes.
    pub fn is_up(&self) -> bool {
        let Some(flags) = &self.flags else { return true };
        let mut text = [0; 16];
        // A removed interface cannot be read any more.
        let Ok(length) = flags.read_at(&mut text, 0) else { return false };
        let number =
            std::str::from_utf8(&text[..length]).ok().and_then(|text| text.trim().strip_prefix("0x"));
        number.and_then(|digits| u32::from_str_radix(digits, 16).ok()).is_none_or(|flags| flags & UP != 0)
    }

    /// Waits until something came in, at most `timeout`; whether something did.
    pub fn wait(&self, timeout: Duration) -> bool {
        let mut polled =
            [rustix::event::PollFd::from_borrowed_fd(self.socket.as_fd(), rustix::event::PollFlags::IN)];
        let timeout = rustix::time::Timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // Interrupted by a signal counts as nothing: the caller asks again.
        rustix::event::poll(&mut polled, Some(&timeout)).is_ok_and(|ready| ready > 0)
    }

    /// What came in next and when; `None`: nothing waits. Never waits itself.
    ///
    /// # Errors
    /// [`CanFault::Down`] once per time the interface goes down, [`CanFault::Gone`] when it must be opened again.
    pub fn receive(&mut self) -> Result<Option<(Heard, Monotonic)>, CanFault> {
        loop {
            let asked = self.clock.monotonic();
            match self.socket.read_frame_with_timestamps() {
                Ok((frame, stamps)) => {
                    let Some(heard) = heard(&frame) else { continue };
                    return Ok(Some((heard, self.stamp(stamps.socket))));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.empty = asked;
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(CanFault::from_io(&error)),
            }
        }
    }

    /// Queues a frame. Never waits.
    ///
    /// # Errors
    /// The frame was not queued.
    pub fn send(&self, frame: &BusFrame) -> Result<(), CanFault> {
        let sent = match frame.to_socket() {
            Some(CanAnyFrame::Normal(frame)) => self.socket.write_frame(&frame),
            Some(CanAnyFrame::Fd(frame)) => self.socket.write_frame(&frame),
            _ => return Err(CanFault::Unfit),
        };
        sent.map_err(|error| CanFault::from_io(&error))
    }

    /// Queues an error frame, as a test rig does on a virtual bus; a real controller sends none that it is told to.
    ///
    /// # Errors
    /// The frame was not queued.
    pub fn inject(&self, trouble: BusTrouble) -> Result<(), CanFault> {
        self.socket
            .write_frame(&trouble.to_socket().ok_or(CanFault::Unfit)?)
            .map_err(|error| CanFault::from_io(&error))
    }

    fn stamp(&self, arrived: Option<SystemTime>) -> Monotonic {
        let now = self.clock.monotonic();
        let longest = now.since(self.empty);
        let age =
            arrived.and_then(|arrived| self.clock.wall().duration_since(arrived).ok()).unwrap_or(longest);
        let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        Monotonic::from_nanos(now.as_nanos().saturating_sub(age))
    }
}

/// Remote frames ask for data and carry none: not for us.
fn heard(frame: &CanAnyFrame) -> Option<Heard> {
    match frame {
        CanAnyFrame::Normal(frame) => BusFrame::classic(frame.id_word(), frame.data()).map(Heard::Frame),
        CanAnyFrame::Fd(frame) => {
            BusFrame::flexible(frame.id_word(), frame.data(), frame.is_brs()).map(Heard::Frame)
        }
        CanAnyFrame::Error(frame) => Some(Heard::Trouble(BusTrouble::read(frame.error_bits(), frame.data()))),
        CanAnyFrame::Remote(_) => None,
    }
}
