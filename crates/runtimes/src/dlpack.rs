// SPDX-License-Identifier: Apache-2.0
//! Arrays of Python's as tensors, without a copy, by DLPack: the protocol that NumPy exports its arrays with.
//!
//! Python's own buffer protocol is not in the stable ABI of Python 3.10, which the wheel is built for.

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;
use std::slice;

use bytes::Bytes;
use pyo3::exceptions::PyBufferError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyCapsuleMethods};
use smallvec::SmallVec;
use tensorserve_tensors::{DataType, Shape, Tensor, TensorData};

const NAME: &CStr = c"dltensor";
const USED_NAME: &CStr = c"used_dltensor";
const MAX_RANK: i32 = 254;
const CPU: i32 = 1;

#[repr(C)]
struct Device {
    kind: i32,
    id: i32,
}

#[repr(C)]
struct ElementType {
    code: u8,
    bits: u8,
    lanes: u16,
}

/// `DLTensor` of DLPack's version 0.
#[repr(C)]
struct Exported {
    data: *mut c_void,
    device: Device,
    rank: i32,
    dtype: ElementType,
    shape: *const i64,
    strides: *const i64,
    byte_offset: u64,
}

/// `DLManagedTensor`.
#[repr(C)]
struct Managed {
    tensor: Exported,
    manager: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Managed)>,
}

/// An array that was exported to us; it lives until this is dropped.
struct Owned {
    managed: NonNull<Managed>,
    bytes: usize,
}

// SAFETY: the exporter's deleter may be called on any thread: NumPy's takes the interpreter's lock itself.
unsafe impl Send for Owned {}
// SAFETY: only read through a shared reference.
unsafe impl Sync for Owned {}

impl Owned {
    fn exported(&self) -> &Exported {
        // SAFETY: the object is live and ours until the drop.
        unsafe { &self.managed.as_ref().tensor }
    }

    fn dims(&self) -> &[i64] {
        let exported = self.exported();
        if exported.rank == 0 {
            return &[];
        }
        // SAFETY: an exported array has as many dimensions as it says, and `rank` was checked.
        unsafe { slice::from_raw_parts(exported.shape, exported.rank as usize) }
    }

    /// Whether the elements lie one behind the other in row-major order.
    fn is_contiguous(&self) -> bool {
        let exported = self.exported();
        if exported.strides.is_null() || exported.rank == 0 {
            return true;
        }
        // SAFETY: as for the dimensions.
        let strides = unsafe { slice::from_raw_parts(exported.strides, exported.rank as usize) };
        let mut expected = 1i64;
        strides.iter().zip(self.dims()).rev().all(|(&stride, &dim)| {
            let fits = dim == 1 || stride == expected;
            expected = expected.saturating_mul(dim.max(1));
            fits
        })
    }
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        let exported = self.exported();
        if self.bytes == 0 || exported.data.is_null() {
            return &[];
        }
        // SAFETY: the array has `bytes` contiguous bytes from there on, which `tensor` has checked, and the exporter keeps
        // them until its deleter is called. Whoever calls a model must not change its inputs meanwhile, as with every
        // function of NumPy's that releases the interpreter's lock; this is in the documentation of the call.
        unsafe { slice::from_raw_parts(exported.data.cast::<u8>().add(exported.byte_offset as usize), self.bytes) }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the object is live and ours; its deleter is called once, and it is not used afterwards.
        unsafe {
            if let Some(deleter) = self.managed.as_ref().deleter {
                deleter(self.managed.as_ptr());
            }
        }
    }
}

/// The tensor in what an array's `__dlpack__()` gave; its elements stay where they are. `None` if they are not in this
/// machine's memory one behind the other, or are of a type that no tensor has.
pub fn tensor(capsule: &Bound<'_, PyCapsule>) -> PyResult<Option<Tensor>> {
    let pointer = capsule.pointer_checked(Some(NAME))?;
    // SAFETY: a capsule of this name that is still unused holds a `DLManagedTensor`, by the protocol. The new name tells
    // the capsule's own destructor that somebody else has taken the array.
    let renamed = unsafe { pyo3::ffi::PyCapsule_SetName(capsule.as_ptr(), USED_NAME.as_ptr()) };
    if renamed != 0 {
        return Err(PyErr::fetch(capsule.py()));
    }
    let mut owned = Owned { managed: pointer.cast(), bytes: 0 };
    let exported = owned.exported();
    if exported.rank < 0 || exported.rank > MAX_RANK {
        return Err(PyBufferError::new_err("the array has too many dimensions"));
    }
    let dtype = dtype(&exported.dtype).filter(|_| exported.device.kind == CPU && owned.is_contiguous());
    let dims: SmallVec<[i64; 6]> = SmallVec::from_slice(owned.dims());
    let (Some(dtype), Some(shape)) = (dtype, Shape::new(&dims)) else { return Ok(None) };
    let Some(bytes) = shape.num_elements().checked_mul(dtype.size()) else { return Ok(None) };
    owned.bytes = bytes;
    Ok(Some(Tensor::new(dtype, shape, TensorData::Plain(Bytes::from_owner(owned)))))
}

fn dtype(exported: &ElementType) -> Option<DataType> {
    if exported.lanes != 1 {
        return None;
    }
    Some(match (exported.code, exported.bits) {
        (0, 8) => DataType::Int8,
        (0, 16) => DataType::Int16,
        (0, 32) => DataType::Int32,
        (0, 64) => DataType::Int64,
        (1, 8) => DataType::Uint8,
        (1, 16) => DataType::Uint16,
        (1, 32) => DataType::Uint32,
        (1, 64) => DataType::Uint64,
        (2, 16) => DataType::Half,
        (2, 32) => DataType::Float,
        (2, 64) => DataType::Double,
        (4, 16) => DataType::Bfloat16,
        (5, 64) => DataType::Complex64,
        (5, 128) => DataType::Complex128,
        (6, 8) => DataType::Bool,
        _ => return None,
    })
}
