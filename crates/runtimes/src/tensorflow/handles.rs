// SPDX-License-Identifier: Apache-2.0
//! The tensors of a graph that have been asked for, by handle.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use tensorserve_tensors::{Result, ServingError};

use super::graph::{Graph, Port};
use crate::TensorHandle;

/// Grows when a new name is resolved; runs read it without a lock.
pub(super) struct Handles {
    ports: ArcSwap<Vec<Port>>,
    by_name: Mutex<HashMap<String, TensorHandle>>,
}

/// The handles as of one moment. Handles given out before it are in it.
pub(super) struct Snapshot(Guard<Arc<Vec<Port>>>);

impl Handles {
    /// With the tensors of these names, as far as the graph has them.
    pub(super) fn new<'a>(graph: &Graph, tensor_names: impl Iterator<Item = &'a str>) -> Self {
        let (mut ports, mut by_name) = (Vec::new(), HashMap::new());
        for name in tensor_names {
            if !by_name.contains_key(name)
                && let Ok(port) = graph.port(name)
            {
                by_name.insert(name.to_owned(), TensorHandle(ports.len()));
                ports.push(port);
            }
        }
        Handles { ports: ArcSwap::from_pointee(ports), by_name: Mutex::new(by_name) }
    }

    /// The handle of a tensor: the same for the same name. NOT_FOUND if the graph has none of this name.
    pub(super) fn resolve(&self, graph: &Graph, tensor_name: &str) -> Result<TensorHandle> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = by_name.get(tensor_name) {
            return Ok(*handle);
        }
        let port = graph.port(tensor_name)?;
        let mut ports = Vec::clone(&self.ports.load());
        let handle = TensorHandle(ports.len());
        ports.push(port);
        self.ports.store(Arc::new(ports));
        by_name.insert(tensor_name.to_owned(), handle);
        Ok(handle)
    }

    /// The name by which a handle was resolved.
    pub(super) fn name(&self, handle: TensorHandle) -> Option<String> {
        let by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        by_name.iter().find(|(_, known)| **known == handle).map(|(name, _)| name.clone())
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot(self.ports.load())
    }
}

impl Snapshot {
    /// The tensor behind a handle. INTERNAL if the handle is not from this session.
    pub(super) fn get(&self, handle: TensorHandle) -> Result<Port> {
        let port = self.0.get(handle.0).copied();
        port.ok_or_else(|| ServingError::internal(format!("{handle:?} is not a handle of this session")))
    }
}
