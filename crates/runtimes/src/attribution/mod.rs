// SPDX-License-Identifier: Apache-2.0
//! What each thread is about to load or run, said in a page of memory that a supervisor reads after the process has died.
//!
//! Without a supervisor there is no page, and all of this costs one load and one branch a run. With one, a run writes its
//! shapes into its thread's slot: a few relaxed stores. What the supervisor has found out about earlier deaths is kept in
//! [`watch`]: shapes that are refused, and those that run alone until it is known whether they end the process.

mod crash;
mod page;
mod watch;

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::Ordering;

use tensorserve_tensors::{Result, Tensor};

use crate::TensorHandle;
use page::{Page, Pulse, Slot, WORDS};
pub use watch::{Watched, WatchedKind};

/// A signature's name, and the tensors that runs of it feed and fetch.
pub type SignatureTensors = (String, Vec<TensorHandle>, Vec<TensorHandle>);

/// A model's version as the page knows it. Its signatures are written there once, when it is loaded.
#[derive(Debug, Default)]
pub struct Subject {
    /// Its number in the page, from 1; 0 if there is no page, or no room in it.
    number: u32,
    path: String,
    signatures: Vec<SignatureTensors>,
}

/// A load or a run that goes on; the slot is cleared when it ends.
#[must_use]
pub struct Busy {
    slot: Option<&'static Slot>,
    before: (u32, u32),
    _watched: Option<watch::Turn>,
}

/// By which a thread says now and then that it lives.
pub struct Heart(&'static Pulse);

impl Heart {
    /// Of this thread; `None` if nobody listens.
    pub fn of_this_thread() -> Option<Self> {
        Page::get()?.take_pulse().map(Heart)
    }

    pub fn beat(&self) {
        self.0.count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.0.thread.store(0, Ordering::Release);
    }
}

thread_local! {
    static SLOT: ThreadSlot = const { ThreadSlot(Cell::new(None)) };
}

/// A thread's slot, which another thread gets when this one ends.
struct ThreadSlot(Cell<Option<&'static Slot>>);

impl Drop for ThreadSlot {
    fn drop(&mut self) {
        if let Some(slot) = self.0.get() {
            slot.give_back();
        }
    }
}

/// From now on loads and runs are said in this memory, and signals that end the process are too. Called once, before
/// anything is loaded.
pub fn open(memory: OwnedFd, watched: Vec<Watched>) -> io::Result<()> {
    let page = Page::open(memory)?;
    watch::set(watched);
    crash::install(page)?;
    crash::install_dumps()
}

/// How many processes of this server have died before; `None` without a supervisor.
pub fn deaths() -> Option<u64> {
    Some(Page::get()?.crash.deaths.load(Ordering::Relaxed))
}

/// Nothing is held against the version at `path` any more.
pub fn release(path: &str) {
    watch::release(path);
}

/// Says that this thread loads the version at `path`.
pub fn loading(path: &Path) -> (Subject, Busy) {
    let Some(page) = Page::get() else { return (Subject::default(), Busy::nothing()) };
    let path = path.to_string_lossy().into_owned();
    let subject = Subject { number: page.add_subject(&path), path, signatures: Vec::new() };
    let Some(slot) = my_slot(page) else { return (subject, Busy::nothing()) };
    let before = (slot.load.load(Ordering::Relaxed), slot.run.load(Ordering::Relaxed));
    slot.load.store(subject.number, Ordering::Relaxed);
    (subject, Busy { slot: Some(slot), before, _watched: None })
}

impl Subject {
    /// The signatures of the version, so that a run can be told by its tensors.
    pub fn set_signatures(&mut self, signatures: Vec<SignatureTensors>) {
        if let Some(page) = Page::get() {
            page.describe_subject(self.number, &self.path, &signatures);
            self.signatures = signatures;
        }
    }

    /// Says that this thread runs the version. INVALID_ARGUMENT for inputs whose shapes ended the process before.
    #[inline]
    pub fn running(&self, feeds: &[(TensorHandle, Tensor)], fetches: &[TensorHandle]) -> Result<Busy> {
        match Page::get() {
            None => Ok(Busy::nothing()),
            Some(page) => self.running_in(page, feeds, fetches),
        }
    }

    fn running_in(
        &self,
        page: &'static Page,
        feeds: &[(TensorHandle, Tensor)],
        fetches: &[TensorHandle],
    ) -> Result<Busy> {
        let watched = if watch::is_needed() { self.watched(page, feeds, fetches)? } else { None };
        let Some(slot) = my_slot(page) else { return Ok(Busy { slot: None, before: (0, 0), _watched: watched }) };
        let before = (slot.load.load(Ordering::Relaxed), slot.run.load(Ordering::Relaxed));
        slot.describe(feeds, fetches);
        slot.run.store(self.number, Ordering::Release);
        Ok(Busy { slot: Some(slot), before, _watched: watched })
    }

    #[cold]
    fn watched(
        &self,
        page: &'static Page,
        feeds: &[(TensorHandle, Tensor)],
        fetches: &[TensorHandle],
    ) -> Result<Option<watch::Turn>> {
        let mut words = [0; WORDS];
        let used = page::shape_words(feeds, &mut words);
        watch::enter(page, &self.path, self.signature(feeds, fetches), &words[..used])
    }

    /// The signature that feeds and fetches such tensors; empty if there is none.
    fn signature(&self, feeds: &[(TensorHandle, Tensor)], fetches: &[TensorHandle]) -> &str {
        let suits = |(_, inputs, outputs): &&SignatureTensors| {
            feeds.first().is_none_or(|(handle, _)| inputs.contains(handle))
                && fetches.first().is_none_or(|handle| outputs.contains(handle))
        };
        self.signatures.iter().find(suits).map_or("", |(name, _, _)| name)
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if let Some(page) = Page::get() {
            page.remove_subject(self.number);
        }
    }
}

impl Busy {
    fn nothing() -> Self {
        Busy { slot: None, before: (0, 0), _watched: None }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            slot.load.store(self.before.0, Ordering::Relaxed);
            slot.run.store(self.before.1, Ordering::Relaxed);
        }
    }
}

#[inline]
fn my_slot(page: &'static Page) -> Option<&'static Slot> {
    // A thread that ends has none any more.
    SLOT.try_with(|mine| {
        mine.0.get().or_else(|| {
            mine.0.set(page.take_slot());
            mine.0.get()
        })
    })
    .ok()
    .flatten()
}
