// SPDX-License-Identifier: Apache-2.0
//! File descriptors that another part of the process opened and hands over as numbers.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes a descriptor over: from now on it belongs to what this returns, which closes it. EBADF if it is not open.
pub fn take_descriptor(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl with F_GETFD only looks a number up.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, and the caller has given up its ownership by calling this.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::IntoRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn it_belongs_to_whoever_took_it() {
        let (given, mut other) = UnixStream::pair().expect("a pair");
        let taken = take_descriptor(given.into_raw_fd()).expect("open");
        File::from(taken).write_all(b"text").expect("open");
        let mut read = String::new();
        other.read_to_string(&mut read).expect("closed by now");
        assert_eq!(read, "text");
    }

    #[test]
    fn what_is_not_open_is_refused() {
        for number in [-1, RawFd::MAX] {
            let error = take_descriptor(number).expect_err("not open");
            assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        }
    }
}
