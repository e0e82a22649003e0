// SPDX-License-Identifier: Apache-2.0
//! Tensors on their way into TensorFlow and out of it, without a copy of fixed-size elements.

use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;
use tensorserve_tensors::{AlignedBuffer, DataType, Result, ServingError, Shape, StringElements, Tensor, TensorData};

use super::functions::{Deallocator, Functions, TfTensor};
use super::strings::{FeedStrings, FetchedStrings};

/// TensorFlow ends the process if a shape has more dimensions. It does so as well if their product is too large, but then
/// there is no [`Shape`].
const MAX_RANK: usize = 254;
/// Kernels reserve memory by one dimension, and multiply dimensions in 32 bits. Elements bound those of other tensors.
const MAX_EMPTY_DIM: i64 = 1 << 24;
/// What the number of a reference type is above the number of its type.
const REFERENCE_OFFSET: i32 = 100;

/// A tensor object of TensorFlow's. Its elements do not change while it lives.
pub(super) struct OwnedTensor {
    functions: &'static Functions,
    pointer: NonNull<TfTensor>,
}

// SAFETY: the object may be used and deleted on any thread: its reference counts are atomic.
unsafe impl Send for OwnedTensor {}
// SAFETY: only read through a shared reference.
unsafe impl Sync for OwnedTensor {}

impl OwnedTensor {
    /// Takes over a tensor object, if there is one.
    ///
    /// # Safety
    /// `pointer` is null or a tensor object that nobody else deletes, and whose elements do not change.
    pub(super) unsafe fn from_raw(functions: &'static Functions, pointer: *mut TfTensor) -> Option<Self> {
        NonNull::new(pointer).map(|pointer| OwnedTensor { functions, pointer })
    }

    pub(super) fn functions(&self) -> &'static Functions {
        self.functions
    }

    /// Gives the tensor object away.
    pub(super) fn into_raw(self) -> *mut TfTensor {
        ManuallyDrop::new(self).as_ptr()
    }

    /// The tensor object, which stays this object's.
    fn as_ptr(&self) -> *mut TfTensor {
        self.pointer.as_ptr()
    }

    /// The memory of the elements.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the object is live, and its data is as long as it says and lives as long as the object.
        unsafe {
            let data = (self.functions.tensor_data)(self.as_ptr());
            let len = (self.functions.tensor_byte_size)(self.as_ptr());
            if data.is_null() || len == 0 { &[] } else { slice::from_raw_parts(data.cast(), len) }
        }
    }

    fn dtype_number(&self) -> i32 {
        // SAFETY: the object is live.
        unsafe { (self.functions.tensor_type)(self.as_ptr()) }
    }

    fn shape(&self) -> Option<Shape> {
        // SAFETY: the object is live.
        let rank = unsafe { (self.functions.num_dims)(self.as_ptr()) };
        // SAFETY: as above, and the index is less than the rank.
        let dims: SmallVec<[i64; 6]> = (0..rank).map(|i| unsafe { (self.functions.dim)(self.as_ptr(), i) }).collect();
        Shape::new(&dims)
    }
}

impl AsRef<[u8]> for OwnedTensor {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl Drop for OwnedTensor {
    fn drop(&mut self) {
        // SAFETY: the object is live, ours, and not used afterwards.
        unsafe { (self.functions.delete_tensor)(self.as_ptr()) }
    }
}

/// A value as TensorFlow takes it. Fixed-size elements are shared with `tensor` if they are aligned; strings are copied.
///
/// INVALID_ARGUMENT for types and shapes that TensorFlow cannot take, INTERNAL if the elements do not fit the shape.
pub(super) fn feed(functions: &'static Functions, tensor: &Tensor) -> Result<OwnedTensor> {
    check_rank(tensor.shape())?;
    match (tensor.dtype(), tensor.data()) {
        (DataType::String, TensorData::Strings(elements)) => feed_strings(functions, tensor, &**elements),
        (dtype, TensorData::Plain(bytes)) if dtype.size() > 0 => feed_bytes(functions, tensor, bytes),
        (DataType::Resource | DataType::Variant, _) => {
            Err(ServingError::invalid_argument(format!("A tensor of type {} cannot be fed", tensor.dtype())))
        }
        _ => Err(misfit(tensor)),
    }
}

fn check_rank(shape: &Shape) -> Result<()> {
    if shape.rank() <= MAX_RANK {
        return Ok(());
    }
    Err(ServingError::invalid_argument(format!("A tensor of {} dimensions cannot be fed", shape.rank())))
}

/// INVALID_ARGUMENT for a tensor without elements that has a dimension which kernels do not expect.
pub(super) fn check_empty(shape: &Shape) -> Result<()> {
    if shape.num_elements() == 0 && shape.dims().iter().any(|&dim| dim > MAX_EMPTY_DIM) {
        let text = format!("A tensor without elements cannot be fed with a dimension above {MAX_EMPTY_DIM}: {shape}");
        return Err(ServingError::invalid_argument(text));
    }
    Ok(())
}

fn feed_bytes(functions: &'static Functions, tensor: &Tensor, bytes: &Bytes) -> Result<OwnedTensor> {
    // TensorFlow checks that the elements are not too few, but not that they are not too many.
    if tensor.shape().num_elements().checked_mul(tensor.dtype().size()) != Some(bytes.len()) {
        return Err(misfit(tensor));
    }
    let data = bytes.as_ptr().cast_mut().cast();
    let owner = Box::into_raw(Box::new(bytes.clone()));
    // SAFETY: `owner` keeps `data` alive until `release` gets it. TensorFlow only reads the data: it knows that it does
    // not own this memory, and computes in place only in memory that it owns.
    unsafe { new_tensor(functions, tensor, data, bytes.len(), release::<Bytes>, owner.cast()) }
}

fn feed_strings(functions: &'static Functions, tensor: &Tensor, elements: &dyn StringElements) -> Result<OwnedTensor> {
    if tensor.shape().num_elements() != elements.len() {
        return Err(misfit(tensor));
    }
    let mut strings = Box::new(FeedStrings::copy(functions, elements));
    let (data, len) = (strings.as_mut_ptr(), strings.byte_len());
    // SAFETY: the box keeps `data` alive until `release` gets it. Neither TF_DeleteTensor nor TensorFlow's buffers free
    // strings in memory that came from outside; dropping the box does.
    unsafe { new_tensor(functions, tensor, data, len, release::<FeedStrings>, Box::into_raw(strings).cast()) }
}

/// Makes a tensor object of `tensor`'s type and shape over `data`.
///
/// # Safety
/// `data` is `len` bytes of elements that live until `deallocator` is called with `owner`.
unsafe fn new_tensor(
    functions: &'static Functions,
    tensor: &Tensor,
    data: *mut c_void,
    len: usize,
    deallocator: Deallocator,
    owner: *mut c_void,
) -> Result<OwnedTensor> {
    let dims = tensor.shape().dims();
    let dtype = tensor.dtype() as c_int;
    // SAFETY: the dimensions are read before the call returns, and the caller answers for the data. Their number is at
    // most MAX_RANK.
    let pointer =
        unsafe { (functions.new_tensor)(dtype, dims.as_ptr(), dims.len() as c_int, data, len, deallocator, owner) };
    // If TensorFlow refuses the data it has called the deallocator.
    // SAFETY: the object is new, and its elements are never changed, by us or by TensorFlow.
    unsafe { OwnedTensor::from_raw(functions, pointer) }.ok_or_else(|| misfit(tensor))
}

/// Drops the `T` that kept a feed's elements alive.
///
/// # Safety
/// `owner` comes from `Box::<T>::into_raw` and is passed once.
unsafe extern "C" fn release<T: Send>(_data: *mut c_void, _len: usize, owner: *mut c_void) {
    // SAFETY: by the contract above. `T` is `Send`, and TensorFlow may call this on any thread.
    drop(unsafe { Box::from_raw(owner.cast::<T>()) });
}

fn misfit(tensor: &Tensor) -> ServingError {
    ServingError::internal(format!("The elements of {tensor:?} do not fit its type and shape"))
}

/// A result as a value. Its elements stay in TensorFlow's memory unless `copy` is set; reference types become values.
///
/// UNIMPLEMENTED for types that have no value outside their session.
pub(super) fn fetched(tensor: OwnedTensor, copy: bool) -> Result<Tensor> {
    let number = tensor.dtype_number();
    let number = if number > REFERENCE_OFFSET { number - REFERENCE_OFFSET } else { number };
    let dtype = DataType::from_i32(number).filter(|&dtype| dtype == DataType::String || dtype.size() > 0);
    let dtype = dtype.ok_or_else(|| unimplemented(number))?;
    let shape = tensor.shape().ok_or_else(|| ServingError::internal("A result has an invalid shape"))?;
    let data = if dtype == DataType::String {
        string_data(tensor, shape.num_elements(), copy)
    } else {
        plain_data(tensor, shape.num_elements() * dtype.size(), copy)
    };
    let data = data.ok_or_else(|| ServingError::internal(format!("A result of type {dtype} does not fit {shape}")))?;
    Ok(Tensor::new(dtype, shape, data))
}

fn string_data(tensor: OwnedTensor, len: usize, copy: bool) -> Option<TensorData> {
    let strings = FetchedStrings::new(tensor, len)?;
    Some(TensorData::Strings(if copy {
        Arc::new((0..len).map(|i| Bytes::copy_from_slice(strings.get(i))).collect::<Vec<_>>())
    } else {
        Arc::new(strings)
    }))
}

fn plain_data(tensor: OwnedTensor, len: usize, copy: bool) -> Option<TensorData> {
    let bytes = tensor.bytes();
    if bytes.len() != len {
        return None;
    }
    Some(TensorData::Plain(if copy {
        let mut buffer = AlignedBuffer::zeroed(len);
        buffer.as_mut().copy_from_slice(bytes);
        buffer.freeze()
    } else {
        Bytes::from_owner(tensor)
    }))
}

fn unimplemented(number: i32) -> ServingError {
    let name = DataType::from_i32(number).map_or_else(|| format!("number {number}"), |dtype| dtype.name().to_owned());
    let message = format!("A result of type {name} has no value outside its session");
    ServingError::new(tensorserve_tensors::Code::Unimplemented, message)
}
