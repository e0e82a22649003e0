// SPDX-License-Identifier: Apache-2.0
//! The page's layout. `python/tensorserve/supervisor/attribution.py` reads it; both have the same numbers.
//!
//! All of it is little endian: a header, slots of threads, and texts of subjects, which are JSON with a zero byte behind.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use tensorserve_tensors::Tensor;

use super::SignatureTensors;
use crate::TensorHandle;

/// Words of a slot for shapes: each input's rank, then its dimensions. What does not fit is left out.
pub(super) const WORDS: usize = 24;
const SLOTS: usize = 256;
const SUBJECTS: usize = 1024;
/// Threads that say that they live.
const BEATS: usize = 64;
const SUBJECT_BYTES: usize = 4096;
/// Whether a watched shape succeeded, a bit each.
const SUCCESS_WORDS: usize = 16;

const FREE: u32 = 0;
const TAKEN: u32 = 1;

#[repr(C)]
pub(super) struct Page {
    /// The signal that ended the process, and who sent it.
    pub(super) crash: Crash,
    pub(super) succeeded: [AtomicU64; SUCCESS_WORDS],
    /// Which subjects are in use.
    subjects_taken: [AtomicU32; SUBJECTS],
    beats: [Pulse; BEATS],
    slots: [Slot; SLOTS],
    subjects: [[AtomicU32; SUBJECT_BYTES / 4]; SUBJECTS],
}

#[repr(C)]
pub(super) struct Crash {
    pub(super) signal: AtomicI32,
    /// `si_code`: above 0 if the system sent it.
    pub(super) code: AtomicI32,
    pub(super) sender: AtomicI32,
    pub(super) thread: AtomicI32,
    pub(super) address: AtomicU64,
    /// How many servers have died before this one; the supervisor says it.
    pub(super) deaths: AtomicU64,
}

/// A thread that says that it lives.
#[repr(C)]
pub(super) struct Pulse {
    pub(super) thread: AtomicI32,
    pub(super) count: AtomicU32,
}

/// What one thread is busy with.
#[repr(C)]
pub(super) struct Slot {
    taken: AtomicU32,
    thread: AtomicI32,
    /// The subject that is loaded, and the one that is run; 0 for none.
    pub(super) load: AtomicU32,
    pub(super) run: AtomicU32,
    feed: AtomicU64,
    fetch: AtomicU64,
    used: AtomicU64,
    words: [AtomicI64; WORDS],
}

static PAGE: AtomicPtr<Page> = AtomicPtr::new(ptr::null_mut());

impl Page {
    #[inline]
    pub(super) fn get() -> Option<&'static Page> {
        // SAFETY: null, or a mapping that `open` made and that is never unmapped.
        unsafe { PAGE.load(Ordering::Acquire).as_ref() }
    }

    /// Maps the memory, which is as large as a page if the supervisor is of the same release.
    pub(super) fn open(memory: OwnedFd) -> io::Result<&'static Page> {
        let memory = File::from(memory);
        if memory.metadata()?.len() != size_of::<Page>() as u64 {
            return Err(io::Error::other("the supervisor's page has another size"));
        }
        let (read_write, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: the kernel chooses the address; the file is as long as the mapping, and is never made shorter.
        let pointer =
            unsafe { libc::mmap(ptr::null_mut(), size_of::<Page>(), read_write, shared, memory.as_raw_fd(), 0) };
        if pointer == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        PAGE.store(pointer.cast(), Ordering::Release);
        Page::get().ok_or_else(|| io::Error::other("the page was mapped at 0"))
    }

    /// The number of a new subject, from 1; 0 if there are too many.
    pub(super) fn add_subject(&self, path: &str) -> u32 {
        for (index, taken) in self.subjects_taken.iter().enumerate() {
            if taken.compare_exchange(FREE, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                let number = index as u32 + 1;
                self.describe_subject(number, path, &[]);
                return number;
            }
        }
        0
    }

    pub(super) fn describe_subject(&self, number: u32, path: &str, signatures: &[SignatureTensors]) {
        let Some(subject) = (number as usize).checked_sub(1).and_then(|index| self.subjects.get(index)) else { return };
        let whole = subject_text(path, signatures);
        // Signatures that do not fit are left out rather than cut.
        let text = if whole.len() < SUBJECT_BYTES { whole } else { subject_text(path, &[]) };
        let mut bytes = text.into_bytes();
        bytes.truncate(SUBJECT_BYTES - 1);
        bytes.resize((bytes.len() + 1).next_multiple_of(4), 0);
        for (word, piece) in subject.iter().zip(bytes.chunks_exact(4)) {
            word.store(u32::from_le_bytes([piece[0], piece[1], piece[2], piece[3]]), Ordering::Relaxed);
        }
    }

    pub(super) fn remove_subject(&self, number: u32) {
        if let Some(taken) = (number as usize).checked_sub(1).and_then(|index| self.subjects_taken.get(index)) {
            taken.store(FREE, Ordering::Release);
        }
    }

    pub(super) fn take_slot(&'static self) -> Option<&'static Slot> {
        let free = |slot: &&Slot| slot.taken.compare_exchange(FREE, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        let slot = self.slots.iter().find(free)?;
        slot.thread.store(thread_id(), Ordering::Relaxed);
        Some(slot)
    }

    /// A place for this thread to say that it lives; it keeps it for good.
    pub(super) fn take_pulse(&'static self) -> Option<&'static Pulse> {
        let mine = thread_id();
        let is_free =
            |pulse: &&Pulse| pulse.thread.compare_exchange(0, mine, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        self.beats.iter().find(is_free)
    }

    /// The threads that have said something, each once or twice.
    pub(super) fn threads(&self) -> impl Iterator<Item = i32> {
        let pulses = self.beats.iter().map(|pulse| pulse.thread.load(Ordering::Relaxed));
        let taken = self.slots.iter().filter(|slot| slot.taken.load(Ordering::Relaxed) == TAKEN);
        pulses.chain(taken.map(|slot| slot.thread.load(Ordering::Relaxed))).filter(|thread| *thread != 0)
    }

    pub(super) fn set_succeeded(&self, index: usize) {
        if let Some(word) = self.succeeded.get(index / 64) {
            word.fetch_or(1 << (index % 64), Ordering::Relaxed);
        }
    }
}

impl Slot {
    #[inline]
    pub(super) fn describe(&self, feeds: &[(TensorHandle, Tensor)], fetches: &[TensorHandle]) {
        self.feed.store(feeds.first().map_or(u64::MAX, |(handle, _)| handle.0 as u64), Ordering::Relaxed);
        self.fetch.store(fetches.first().map_or(u64::MAX, |handle| handle.0 as u64), Ordering::Relaxed);
        let used = each_word(feeds, |at, word| self.words[at].store(word, Ordering::Relaxed));
        self.used.store(used as u64, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self) {
        self.load.store(0, Ordering::Relaxed);
        self.run.store(0, Ordering::Relaxed);
        self.taken.store(FREE, Ordering::Release);
    }
}

/// Writes the shapes of the inputs into `words`; gives how many there are.
pub(super) fn shape_words(feeds: &[(TensorHandle, Tensor)], words: &mut [i64; WORDS]) -> usize {
    each_word(feeds, |at, word| words[at] = word)
}

#[inline]
fn each_word(feeds: &[(TensorHandle, Tensor)], mut put: impl FnMut(usize, i64)) -> usize {
    let mut at = 0;
    for (_, tensor) in feeds {
        let dims = tensor.shape().dims();
        if at + 1 + dims.len() > WORDS {
            break;
        }
        put(at, dims.len() as i64);
        for (offset, dim) in dims.iter().enumerate() {
            put(at + 1 + offset, *dim);
        }
        at += 1 + dims.len();
    }
    at
}

/// `{"path": ..., "signatures": {name: [inputs, outputs]}}`, the tensors by their numbers.
fn subject_text(path: &str, signatures: &[SignatureTensors]) -> String {
    let numbers =
        |handles: &[TensorHandle]| handles.iter().map(|handle| handle.0.to_string()).collect::<Vec<_>>().join(",");
    let rows = signatures
        .iter()
        .map(|(name, inputs, outputs)| format!("{}:[[{}],[{}]]", quoted(name), numbers(inputs), numbers(outputs)));
    let rows = rows.collect::<Vec<_>>().join(",");
    format!("{{\"path\":{},\"signatures\":{{{rows}}}}}", quoted(path))
}

/// As a JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if (control as u32) < 0x20 => quoted.push_str(&format!("\\u{:04x}", control as u32)),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(target_os = "linux")]
pub(super) fn thread_id() -> i32 {
    // SAFETY: it takes nothing and gives a number.
    unsafe { libc::gettid() }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn thread_id() -> i32 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_what_the_supervisor_reads() {
        assert_eq!(std::mem::offset_of!(Page, succeeded), 32);
        assert_eq!(std::mem::offset_of!(Page, subjects_taken), 160);
        assert_eq!(std::mem::offset_of!(Page, beats), 4256);
        assert_eq!(std::mem::offset_of!(Page, slots), 4768);
        assert_eq!(size_of::<Slot>(), 232);
        assert_eq!(std::mem::offset_of!(Page, subjects), 64160);
        assert_eq!(size_of::<Page>(), 4_258_464);
    }

    #[test]
    fn subjects_are_json() {
        let signatures = [("a\"b".to_owned(), vec![TensorHandle(1)], vec![TensorHandle(2), TensorHandle(3)])];
        let text = subject_text("/m\n/1", &signatures);
        assert_eq!(text, r#"{"path":"/m\u000a/1","signatures":{"a\"b":[[1],[2,3]]}}"#);
    }
}
