// SPDX-License-Identifier: Apache-2.0
//! One thread for pages that take a while to write (metrics, metadata, the description of the API): they are asked for when
//! every execution thread is busy, too, and the requests of a lane must not wait for them.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use tensorserve_servables::{Code, Result, ServingError};
use tokio::sync::oneshot;

/// Pages that may wait to be written.
const MAX_WAITING: usize = 256;

type Job = Box<dyn FnOnce() + Send>;

/// Hands pages to the thread, which ends with the last of its clerks.
#[derive(Clone)]
pub(crate) struct Clerk(SyncSender<Job>);

impl Clerk {
    pub(crate) fn start() -> io::Result<Self> {
        let (sender, jobs) = sync_channel(MAX_WAITING);
        std::thread::Builder::new().name("tensorserve-clerk".to_owned()).spawn(move || work(&jobs))?;
        Ok(Clerk(sender))
    }

    /// What `write` gives. RESOURCE_EXHAUSTED if too many pages wait; a panic is INTERNAL.
    pub(crate) async fn ask<R: Send + 'static>(&self, write: impl FnOnce() -> Result<R> + Send + 'static) -> Result<R> {
        let (reply, answer) = oneshot::channel();
        let job = move || {
            if !reply.is_closed() {
                let written = catch_unwind(AssertUnwindSafe(write));
                // An error means that the client has left.
                let _ = reply.send(written.unwrap_or_else(failed));
            }
        };
        self.0.try_send(Box::new(job)).map_err(|error| match error {
            TrySendError::Full(_) => {
                ServingError::new(Code::ResourceExhausted, "too many pages are asked for; try again later")
            }
            TrySendError::Disconnected(_) => stopping(),
        })?;
        answer.await.map_err(|_| stopping())?
    }
}

fn work(jobs: &Receiver<Job>) {
    for job in jobs {
        job();
    }
}

fn failed<R>(_: Box<dyn Any + Send>) -> Result<R> {
    Err(ServingError::internal("the page cannot be written"))
}

fn stopping() -> ServingError {
    ServingError::new(Code::Unavailable, "the server is stopping")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_next_page_is_written() {
        let clerk = Clerk::start().unwrap();
        assert_eq!(clerk.ask(|| -> Result<()> { panic!("on purpose") }).await.unwrap_err().code, Code::Internal);
        assert_eq!(clerk.ask(|| Ok(5)).await, Ok(5));
    }
}
