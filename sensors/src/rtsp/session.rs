//! One connection to the camera, from DESCRIBE to the stream of coded pictures.

use std::future::poll_fn;
use std::io::{Error, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream as _;
use retina::client::{
    Demuxed, PlayOptions, Session, SessionGroup, SessionOptions, SetupOptions, Stream, TcpTransportOptions,
    UdpTransportOptions,
};
use retina::codec::{CodecItem, FrameFormat, ParametersRef, VideoFrame};

use super::config::{Address, Transport};
use super::login::Login;
use crate::source::SourceError;

/// How a stream is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// ITU-T H.264, RFC 6184.
    H264,
    /// JPEG, RFC 2435.
    Jpeg,
}

/// Why a connection ended or did not come about.
pub(super) struct Failure {
    pub error: SourceError,
    /// Trying again cannot help (and wrong passwords, repeated, lock accounts).
    pub for_good: bool,
}

/// A connection that plays.
pub(super) struct Playing {
    pub coding: Coding,
    /// As the description says.
    pub period: Option<Duration>,
    stream: Demuxed,
    number: usize,
    address: Address,
    login: Option<Login>,
}

/// Connects and plays. Takes as long as the server does: to be bounded by the caller.
pub(super) async fn connect(
    address: &Address,
    login: Option<Login>,
    transport: Transport,
    group: Arc<SessionGroup>,
) -> Result<Playing, Failure> {
    let wrong = |error| failure(&error, address, login.as_ref(), "connect");
    let options = SessionOptions::default()
        .creds(login.as_ref().map(Login::credentials))
        .user_agent(concat!("stopline/", env!("CARGO_PKG_VERSION")).to_owned())
        .session_group(group);
    let mut session = Session::describe(address.url.clone(), options).await.map_err(wrong)?;
    let (number, coding) = choose(session.streams(), address)?;
    let transport = match transport {
        Transport::Tcp => retina::client::Transport::Tcp(TcpTransportOptions::default()),
        Transport::Udp => retina::client::Transport::Udp(UdpTransportOptions::default()),
    };
    let setup = SetupOptions::default().transport(transport).frame_format(FrameFormat::SIMPLE);
    session.setup(number, setup).await.map_err(wrong)?;
    let playing = session.play(PlayOptions::default()).await.map_err(wrong)?;
    let stream = playing.demuxed().map_err(wrong)?;
    let period = stated_period(&stream.streams()[number]);
    Ok(Playing { coding, period, stream, number, address: address.clone(), login })
}

impl Playing {
    /// The next coded picture.
    pub async fn picture(&mut self) -> Result<VideoFrame, Failure> {
        loop {
            let item = poll_fn(|context| Pin::new(&mut self.stream).poll_next(context)).await;
            match item {
                Some(Ok(CodecItem::VideoFrame(frame))) if frame.stream_id() == self.number => {
                    return Ok(frame);
                }
                // Sender reports, and kinds that were not asked for.
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    return Err(failure(&error, &self.address, self.login.as_ref(), "read the stream"));
                }
                None => return Err(closed(&self.address)),
            }
        }
    }
}

/// The first video stream that can be decoded here.
fn choose(streams: &[Stream], address: &Address) -> Result<(usize, Coding), Failure> {
    let video = || streams.iter().enumerate().filter(|(_, stream)| stream.media() == "video");
    let found = video().find_map(|(number, stream)| match stream.encoding_name() {
        "h264" if cfg!(feature = "h264") => Some((number, Coding::H264)),
        "jpeg" => Some((number, Coding::Jpeg)),
        _ => None,
    });
    found.ok_or_else(|| {
        let names: Vec<&str> = video().map(|(_, stream)| stream.encoding_name()).collect();
        let problem = match names.as_slice() {
            [] => "the server offers no video".to_owned(),
            names => format!("the server offers video as {}, which is not decoded here", names.join(", ")),
        };
        let here = if cfg!(feature = "h264") { "H.264 or MJPEG" } else { "MJPEG (this build has no H.264)" };
        let advice = format!("set the camera to {here}, or name the path of such a stream");
        let error = SourceError::Unsupported { what: address.shown.clone(), problem, advice };
        Failure { error, for_good: true }
    })
}

fn stated_period(stream: &Stream) -> Option<Duration> {
    let coded = match stream.parameters() {
        Some(ParametersRef::Video(video)) => video.frame_rate(),
        _ => None,
    };
    let seconds = match (coded, stream.framerate()) {
        (Some((ticks, rate)), _) => f64::from(ticks) / f64::from(rate),
        (None, Some(rate)) => 1.0 / f64::from(rate),
        (None, None) => return None,
    };
    (0.001..=60.0).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

fn failure(error: &retina::Error, address: &Address, login: Option<&Login>, action: &'static str) -> Failure {
    const UNAUTHORIZED: u16 = 401;
    const FORBIDDEN: u16 = 403;
    const NOT_FOUND: u16 = 404;
    let io = |action, kind, text: String| SourceError::Io {
        what: address.shown.clone(),
        action,
        cause: Error::new(kind, text),
    };
    match (error.status_code(), login) {
        (Some(UNAUTHORIZED), None) => Failure {
            error: io(
                "log in",
                ErrorKind::PermissionDenied,
                "the server asks for user name and password (401); name a file with them as credentials_file"
                    .into(),
            ),
            for_good: true,
        },
        (Some(status @ (UNAUTHORIZED | FORBIDDEN)), _) => Failure {
            error: io(
                "log in",
                ErrorKind::PermissionDenied,
                format!(
                    "the server refuses user name or password ({status}); check the file named as credentials_file"
                ),
            ),
            for_good: true,
        },
        (Some(NOT_FOUND), _) => Failure {
            error: io(
                "find the stream",
                ErrorKind::NotFound,
                "the server knows no such path (404); check url".into(),
            ),
            for_good: false,
        },
        _ => {
            Failure { error: io(action, ErrorKind::Other, harmless(error, address, login)), for_good: false }
        }
    }
}

/// The first line of what retina says; the rest describes packets. Nothing of the login or the hidden parts of the
/// address, even where the server sent them back.
fn harmless(error: &retina::Error, address: &Address, login: Option<&Login>) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default().replace(address.url.as_str(), &address.shown);
    let hidden = [address.url.query(), Some(address.url.path()).filter(|path| path.contains('='))];
    let line = hidden.into_iter().flatten().fold(line, |line, hidden| line.replace(hidden, "…"));
    login.map_or_else(|| line.clone(), |login| login.hide(&line))
}

fn closed(address: &Address) -> Failure {
    let cause = Error::new(ErrorKind::UnexpectedEof, "the server closed the connection");
    let error = SourceError::Io { what: address.shown.clone(), action: "read the stream", cause };
    Failure { error, for_good: false }
}
