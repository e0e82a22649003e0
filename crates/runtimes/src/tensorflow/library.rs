// SPDX-License-Identifier: Apache-2.0
//! The shared library: opened once per process and never closed.

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use libloading::os::unix::{Library as Opened, RTLD_LAZY, RTLD_LOCAL};
use tensorserve_tensors::{Result, ServingError};

use super::functions::Functions;

/// The oldest release whose C API has everything that is used here.
const OLDEST: (u32, u32) = (2, 12);
const REMEDY: &str = "install a newer one, for example with `pip install \"tensorflow-cpu>=2.16\"`";

/// An opened TensorFlow.
#[derive(Clone, Copy)]
pub(super) struct Library {
    pub(super) functions: &'static Functions,
    pub(super) version: &'static str,
}

/// The library of this process and where it came from.
static OPENED: Mutex<Option<(PathBuf, Library)>> = Mutex::new(None);

/// Opens the library at `path`, or returns it if it is open.
///
/// FAILED_PRECONDITION if there is no such library, if it is not TensorFlow or too old, or if this process has opened
/// TensorFlow from another place: the two would share parts of each other, because the loader tells
/// `libtensorflow_framework` apart by name only.
pub(super) fn open(path: &Path) -> Result<Library> {
    let path = path.canonicalize().map_err(|error| unusable(path, &error.to_string()))?;
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((other, library)) = &*opened {
        return if *other == path { Ok(*library) } else { Err(already_open(&path, other)) };
    }
    let library = open_uncached(&path)?;
    *opened = Some((path, library));
    Ok(library)
}

/// TensorFlow's oneDNN allocator keeps a lock while it waits 10 s for memory that is not there, which stops every large
/// tensor of the process. The C library's allocator refuses at once, and is as quick or quicker.
const SYSTEM_ALLOCATOR: &str = "TF_ONEDNN_USE_SYSTEM_ALLOCATOR";

fn open_uncached(path: &Path) -> Result<Library> {
    if std::env::var_os(SYSTEM_ALLOCATOR).is_none() {
        // SAFETY: Rust's own readers of the environment share a lock with this. The C library's `getenv` in other threads
        // could race with it: Python calls this once, before models are loaded, while nothing of ours reads it.
        unsafe { std::env::set_var(SYSTEM_ALLOCATOR, "1") }
    }
    crate::memory::limit_arenas();
    // RTLD_LOCAL: with global symbols a later `import tensorflow` in this process crashes.
    // SAFETY: opening runs the library's initializers. The caller names a TensorFlow library, whose initializers need
    // nothing of the program.
    let opened = unsafe { Opened::open(Some(path), RTLD_LAZY | RTLD_LOCAL) };
    let opened = opened.map_err(|error| unusable(path, &describe(&error)))?;
    let functions = Functions::look_up(&opened).map_err(|error| unusable(path, &describe(&error)));
    // TensorFlow's threads run in it, so it stays open, also if it turns out to be unusable.
    std::mem::forget(opened);
    let functions: &'static Functions = Box::leak(Box::new(functions?));
    // SAFETY: TF_Version returns a constant string.
    let version = unsafe { CStr::from_ptr((functions.version)()) };
    let version = version.to_str().map_err(|error| unusable(path, &error.to_string()))?;
    check_version(path, version)?;
    Ok(Library { functions, version })
}

fn check_version(path: &Path, version: &str) -> Result<()> {
    let mut numbers = version.split('.').map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST => Ok(()),
        _ => Err(ServingError::failed_precondition(format!(
            "TensorFlow {version} at {} is older than {}.{}: {REMEDY}",
            path.display(),
            OLDEST.0,
            OLDEST.1
        ))),
    }
}

/// The loader's own words, which `libloading` keeps apart from its summary.
fn describe(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

fn unusable(path: &Path, reason: &str) -> ServingError {
    ServingError::failed_precondition(format!(
        "Cannot use {} as TensorFlow's library ({reason}): {REMEDY}",
        path.display()
    ))
}

fn already_open(path: &Path, other: &Path) -> ServingError {
    ServingError::failed_precondition(format!(
        "Cannot open TensorFlow at {}: this process already uses the one at {}, and one process can use only one",
        path.display(),
        other.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_from_the_oldest_on_are_accepted() {
        for version in ["2.12.0", "2.21.0", "2.21.0-rc1", "3.0"] {
            assert_eq!(check_version(Path::new("lib"), version), Ok(()), "{version}");
        }
    }

    #[test]
    fn an_older_release_is_named_with_the_remedy() {
        for version in ["2.11.1", "1.15.0", "unknown", ""] {
            let error = check_version(Path::new("lib.so"), version).expect_err(version);
            assert_eq!(error.code, tensorserve_tensors::Code::FailedPrecondition);
            assert!(error.message.starts_with(&format!("TensorFlow {version} at lib.so is older than 2.12")));
            assert!(error.message.contains("pip install \"tensorflow-cpu>=2.16\""));
        }
    }
}
