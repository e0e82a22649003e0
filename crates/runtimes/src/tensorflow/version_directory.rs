// SPDX-License-Identifier: Apache-2.0
//! How large the files of a SavedModel are.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Bytes of the variables on disk, 0 if the model has none; `None` if they cannot be listed.
pub(super) fn variable_bytes(version_directory: &Path) -> Option<u64> {
    match fs::read_dir(version_directory.join("variables")) {
        Err(error) if error.kind() == ErrorKind::NotFound => Some(0),
        entries => entries.ok()?.map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum(),
    }
}

/// Bytes of the graph and the variables, as far as they can be read.
pub(super) fn file_bytes(version_directory: &Path) -> u64 {
    let graph = fs::metadata(version_directory.join("saved_model.pb")).map_or(0, |metadata| metadata.len());
    graph + variable_bytes(version_directory).unwrap_or(0)
}
