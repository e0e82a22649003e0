// SPDX-License-Identifier: Apache-2.0
//! The whole text of a status. The C API gives it as a C string, which a NUL in the text cuts off: one from a request's
//! string, say, and with it what is wrong and where.
//!
//! The text is a `std::string`, which knows its length. Where TensorFlow keeps it is looked up once for the library that was
//! opened, in a status with a text of our own; if it is not where it has always been, texts end at their first NUL.

use std::ffi::{CStr, c_char};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use super::functions::{Functions, TfStatus};

/// What a status points to, as far as it matters: `absl::status_internal::StatusRep` with the `std::string` of the GNU
/// library.
#[derive(Clone, Copy)]
#[repr(C)]
struct Representation {
    references: i32,
    code: i32,
    text: *const c_char,
    length: usize,
}

const SIZE: usize = size_of::<Representation>();

/// Low bits of the pointer tell statuses apart that are kept without one.
const TAGS: usize = 3;

/// Those look like pointers to the first page, where nothing is.
const FIRST_PAGE: usize = 4096;

/// One library is opened in a process.
static IS_KNOWN: OnceLock<bool> = OnceLock::new();

/// The text of a status that is not OK.
///
/// # Safety
/// `status` is a live status object, which does not change while the text is used.
pub(super) unsafe fn text<'a>(functions: &Functions, status: *const TfStatus) -> &'a [u8] {
    // SAFETY: the status is live, and so is its text, a C string.
    let short = unsafe { CStr::from_ptr((functions.message)(status)) };
    if !*IS_KNOWN.get_or_init(|| is_known(functions)) {
        return short.to_bytes();
    }
    // SAFETY: a status is a pointer, as `is_known` has found.
    let address = unsafe { *status.cast::<usize>() } & !TAGS;
    if address < FIRST_PAGE {
        return short.to_bytes();
    }
    // SAFETY: a pointer that is none of the others leads to this structure, as `is_known` has found.
    let found = unsafe { *(address as *const Representation) };
    if found.text != short.as_ptr() || found.length < short.count_bytes() {
        return short.to_bytes();
    }
    // SAFETY: the pointer is that of the status's text, and the length stands beside it.
    unsafe { std::slice::from_raw_parts(found.text.cast(), found.length) }
}

/// Whether a status of this library looks as expected. Wrong guesses are no wrong reads: the system does the reading.
fn is_known(functions: &Functions) -> bool {
    [c"short", c"a text that is too long to lie within the string object itself"]
        .into_iter()
        .all(|text| looks_as_expected(functions, text).unwrap_or(false))
}

fn looks_as_expected(functions: &Functions, text: &CStr) -> std::io::Result<bool> {
    const CODE: i32 = 3;
    let memory = File::open("/proc/self/mem")?;
    // SAFETY: the status is live until it is deleted, and the text a C string that is copied.
    let (status, message) = unsafe {
        let status = (functions.new_status)();
        (functions.set_status)(status, CODE, text.as_ptr());
        (status, (functions.message)(status))
    };
    let read = || -> std::io::Result<[u8; SIZE]> {
        let mut pointer = [0; size_of::<usize>()];
        memory.read_exact_at(&mut pointer, status as u64)?;
        let mut found = [0; SIZE];
        memory.read_exact_at(&mut found, (usize::from_ne_bytes(pointer) & !TAGS) as u64)?;
        Ok(found)
    };
    let found = read();
    // SAFETY: nothing uses it any more.
    unsafe { (functions.delete_status)(status) };
    // SAFETY: any bytes are such a structure; its pointer is compared only.
    let found: Representation = unsafe { std::mem::transmute::<[u8; SIZE], _>(found?) };
    Ok(found.references == 1 && found.code == CODE && found.text == message && found.length == text.count_bytes())
}
