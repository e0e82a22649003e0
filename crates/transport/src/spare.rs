// SPDX-License-Identifier: Apache-2.0
//! One file descriptor that is kept for the time when there are no others: with it a client is accepted, told, and let go.

use std::fs::File;
use std::io::{self, Write};
use std::net::Shutdown;
use std::time::Duration;

use tensorserve_log::{Level, Limit, Line};

use crate::listener::{Accepted, Listener};

/// Clients that are turned away before the listener rests.
const MAX_TURNED_AWAY: usize = 64;

static FAILED: Limit = Limit::every(Duration::from_secs(10));
static TURNED_AWAY: Limit = Limit::every(Duration::from_secs(10));

const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: application/json\r\n\
    Content-Length: 64\r\nConnection: close\r\n\r\n\
    {\n    \"error\": \"this server has no room for more connections\"\n}\n";

/// The descriptor of one listener.
pub(crate) struct Spare {
    /// `None` if there was none to be had.
    kept: Option<File>,
}

impl Spare {
    pub(crate) fn new() -> Self {
        Spare { kept: File::open("/dev/null").ok() }
    }

    /// Accepts clients that wait, one after the other, and closes them; over plain HTTP it says why.
    pub(crate) async fn turn_away(&mut self, listener: &Listener, tell: bool) {
        for _ in 0..MAX_TURNED_AWAY {
            drop(self.kept.take());
            let waiting = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
            if let Ok(Ok(client)) = &waiting
                && tell
            {
                // A client whose buffer has no room for this is not there.
                let _ = tell_busy(client);
            }
            let more = matches!(waiting, Ok(Ok(_)));
            if more {
                TURNED_AWAY.say(|| {
                    Line::new(Level::Warning, "A client was turned away: no file descriptor is left.".to_owned())
                });
            }
            drop(waiting);
            self.kept = File::open("/dev/null").ok();
            if !more || self.kept.is_none() {
                return;
            }
        }
    }
}

/// Logs that a connection could not be accepted, now and then.
pub(crate) fn report(error: &io::Error, protocol: &str) {
    FAILED.say(|| {
        let text = format!("A {protocol} connection could not be accepted: {error}.");
        Line::new(Level::Warning, text).with("protocol", protocol).with("error", error)
    });
}

fn tell_busy(client: &Accepted) -> io::Result<()> {
    match client {
        Accepted::Tcp(stream, _) => (&mut &*stream).write_all(BUSY).and_then(|()| stream.shutdown(Shutdown::Write)),
        Accepted::Unix(stream) => (&mut &*stream).write_all(BUSY).and_then(|()| stream.shutdown(Shutdown::Write)),
    }
}

/// Whether the next client may be luckier at once: this one has left, or a firewall was against it.
pub(crate) fn is_about_one_client(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused | K::PermissionDenied)
}

/// Whether this process or the system has no descriptor left.
pub(crate) fn is_lack_of_descriptors(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}
