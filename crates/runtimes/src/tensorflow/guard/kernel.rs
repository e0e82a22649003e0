// SPDX-License-Identifier: Apache-2.0
//! The op that stands before a kernel: it gives its first input on as it is, or fails the run.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::{ptr, slice};

use prost::Message;
use tensorserve_protos::tensorflow::NodeDef;
use tensorserve_tensors::{Code, Result, ServingError};

use super::c_api::{GuardFunctions, KernelConstruction, KernelContext, ShapeContext};
use super::needs::{Need, lacks};
use super::values::{MOST, Value};
use super::{shape_function, table};
use crate::tensorflow::functions::{Functions, TfStatus, TfTensor};
use crate::tensorflow::status::Status;

/// The name of the op.
pub(super) const OP: &str = "TensorserveGuard";
const OP_NAME: &CStr = c"TensorserveGuard";
/// Its one attribute of its own, a serialized [`Spec`].
pub(super) const SPEC: &str = "spec";
const SPEC_NAME: &CStr = c"spec";

/// Whole numbers in lists up to this length are always looked at.
const SHORT: i64 = 64;
/// Outcomes that a kernel remembers.
const REMEMBERED: usize = 64;

/// `DT_RESOURCE` and `DT_VARIANT`: handles, which cannot be looked at.
const HANDLES: [i32; 2] = [20, 21];

/// Whether a guard gets inputs of this type.
pub(super) fn is_seen(dtype: i32) -> bool {
    !HANDLES.contains(&dtype)
}

/// What a guard is told of what it stands before.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Spec {
    #[prost(string, tag = "1")]
    pub(super) op: String,
    /// The only input must have this rank; 0 if the needs of the op are looked at instead.
    #[prost(uint32, tag = "2")]
    pub(super) rank: u32,
    /// The node, without inputs and attributes of TensorFlow's own.
    #[prost(message, optional, tag = "3")]
    pub(super) node: Option<NodeDef>,
    /// The types of all inputs of the node. The guard's are those that are [seen](is_seen), in this order.
    #[prost(int32, repeated, tag = "4")]
    pub(super) types: Vec<i32>,
    /// The only input must be a single element, in as many dimensions as `rank` says, or in one or none.
    #[prost(bool, tag = "5")]
    pub(super) single: bool,
}

static REGISTERED: OnceLock<Option<&'static Functions>> = OnceLock::new();

/// The functions, once the op is known to TensorFlow; `None` if it cannot be.
pub(super) fn registered(functions: &'static Functions) -> Option<&'static GuardFunctions> {
    let registered = REGISTERED.get_or_init(|| {
        let guard = functions.guard.as_ref()?;
        register(functions, guard).ok().map(|()| functions)
    });
    registered.and_then(|functions| functions.guard.as_ref())
}

fn register(functions: &'static Functions, guard: &GuardFunctions) -> Result<()> {
    let status = Status::new(functions);
    // SAFETY: the builder is live until it is registered, and the texts are constant.
    unsafe {
        let op = (guard.new_op)(OP_NAME.as_ptr());
        (guard.op_input)(op, c"x: T".as_ptr());
        (guard.op_input)(op, c"others: Tothers".as_ptr());
        (guard.op_output)(op, c"y: T".as_ptr());
        (guard.op_attribute)(op, c"T: type".as_ptr());
        (guard.op_attribute)(op, c"Tothers: list(type) >= 0".as_ptr());
        (guard.op_attribute)(op, c"spec: string".as_ptr());
        (guard.op_shape)(op, infer_shape);
        (guard.register_op)(op, status.as_ptr());
    }
    status.into_result()?;
    let status = Status::new(functions);
    // SAFETY: as above; the callbacks keep to what the header says of them.
    unsafe {
        let kernel = (guard.new_kernel)(OP_NAME.as_ptr(), c"CPU".as_ptr(), Some(create), compute, Some(delete));
        (guard.register_kernel)(OP_NAME.as_ptr(), kernel, status.as_ptr());
    }
    status.into_result()
}

/// The output has the shape of the first input.
unsafe extern "C" fn infer_shape(context: *mut ShapeContext, status: *mut TfStatus) {
    let Some(guard) = here().and_then(|functions| functions.guard.as_ref()) else { return };
    // SAFETY: TensorFlow gives a live context and status; the handle is live until it is deleted.
    unsafe {
        let shape = (guard.new_shape)();
        (guard.input_shape)(context, 0, shape, status);
        (guard.set_output_shape)(context, 0, shape, status);
        (guard.delete_shape)(shape);
    }
}

fn here() -> Option<&'static Functions> {
    REGISTERED.get().copied().flatten()
}

/// A guard of one node.
struct Guard {
    spec: Spec,
    needs: &'static [Need],
    /// By the seen inputs; for what takes long to find out.
    known: Mutex<HashMap<Vec<Value>, Option<String>>>,
}

unsafe extern "C" fn create(construction: *mut KernelConstruction) -> *mut c_void {
    let Some(functions) = here() else { return ptr::null_mut() };
    let Some(guard) = &functions.guard else { return ptr::null_mut() };
    let status = Status::new(functions);
    let (mut listed, mut size) = (0, 0);
    // SAFETY: the construction and the status are live, and so are the places for the results.
    unsafe {
        (guard.attribute_size)(construction, SPEC_NAME.as_ptr(), &raw mut listed, &raw mut size, status.as_ptr());
    }
    let mut bytes = vec![0u8; usize::try_from(size).unwrap_or(0)];
    // SAFETY: as above; `bytes` is as long as is said.
    unsafe {
        let (data, len) = (bytes.as_mut_ptr().cast(), bytes.len());
        (guard.string_attribute)(construction, SPEC_NAME.as_ptr(), data, len, status.as_ptr());
    }
    let spec = Spec::decode(&*bytes).unwrap_or_default();
    let needs = if spec.rank == 0 && !spec.single { table::needs(&spec.op) } else { &[] };
    Box::into_raw(Box::new(Guard { spec, needs, known: Mutex::default() })).cast()
}

unsafe extern "C" fn delete(kernel: *mut c_void) {
    if !kernel.is_null() {
        // SAFETY: TensorFlow gives back, once, what `create` made.
        drop(unsafe { Box::from_raw(kernel.cast::<Guard>()) });
    }
}

unsafe extern "C" fn compute(kernel: *mut c_void, context: *mut KernelContext) {
    let Some(functions) = here() else { return };
    let Some(api) = &functions.guard else { return };
    // SAFETY: TensorFlow gives what `create` made, which may be null; it is not deleted while it computes.
    let guard = unsafe { kernel.cast::<Guard>().as_ref() };
    let run = Run { functions, api, context, status: Status::new(functions) };
    let outcome = catch_unwind(AssertUnwindSafe(|| run.compute(guard)));
    if let Err(error) = outcome.unwrap_or_else(|_| Err(ServingError::internal("a guard failed"))) {
        run.fail(&error);
    }
}

/// One computation of a guard.
struct Run {
    functions: &'static Functions,
    api: &'static GuardFunctions,
    context: *mut KernelContext,
    /// For one call after the other.
    status: Status,
}

/// A tensor object that is deleted with this.
struct Input<'a> {
    run: &'a Run,
    tensor: *mut TfTensor,
}

impl Drop for Input<'_> {
    fn drop(&mut self) {
        // SAFETY: the object is live and ours.
        unsafe { (self.run.functions.delete_tensor)(self.tensor) }
    }
}

impl Run {
    fn compute(&self, guard: Option<&Guard>) -> Result<()> {
        let first = self.input(0)?;
        if let Some(guard) = guard {
            self.check(guard, &first)?;
        }
        // SAFETY: all objects are live; TensorFlow takes a reference of its own.
        unsafe { (self.api.set_output)(self.context, 0, first.tensor, self.status.as_ptr()) }
        self.status.result()
    }

    fn check(&self, guard: &Guard, first: &Input<'_>) -> Result<()> {
        let spec = &guard.spec;
        if spec.rank > 0 && !first.has_rank(spec.rank) {
            return Err(refusal(spec, &wrong_rank(spec, first)));
        }
        if spec.single && !first.is_single(spec.rank.max(1)) {
            return Err(refusal(spec, &not_single(first)));
        }
        if spec.rank > 0 || spec.single {
            return Ok(());
        }
        let values = self.values(guard, first)?;
        match self.verdict(guard, values) {
            Some(reason) => Err(refusal(spec, &reason)),
            None => Ok(()),
        }
    }

    /// One for each input of the node.
    fn values(&self, guard: &Guard, first: &Input<'_>) -> Result<Vec<Value>> {
        let mut seen = 0;
        let mut values = Vec::with_capacity(guard.spec.types.len());
        for (at, &dtype) in guard.spec.types.iter().enumerate() {
            if !is_seen(dtype) {
                values.push(Value { dtype, ..Value::default() });
                continue;
            }
            let in_full = guard.needs.iter().any(|need| need.looks_at(at, guard.spec.types.len()));
            let value = if seen == 0 { first.value(in_full) } else { self.input(seen)?.value(in_full) };
            values.push(value);
            seen += 1;
        }
        Ok(values)
    }

    fn verdict(&self, guard: &Guard, values: Vec<Value>) -> Option<String> {
        if let Some(reason) = guard.needs.iter().find_map(|need| lacks(*need, &values, guard.spec.node.as_ref())) {
            return Some(reason);
        }
        let node = guard.spec.node.as_ref().filter(|_| guard.needs.contains(&Need::Shapes))?;
        let known = || guard.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = known().get(&values) {
            return outcome.clone();
        }
        let error = shape_function::ask(self.functions, self.api, node, &values).err();
        // Another code is no verdict on the inputs.
        let outcome = error.filter(|error| error.code == Code::InvalidArgument).map(|error| error.message);
        let mut known = known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(values, outcome.clone());
        outcome
    }

    fn input(&self, index: c_int) -> Result<Input<'_>> {
        let mut tensor = ptr::null_mut();
        // SAFETY: the context and the status are live; the tensor object becomes ours.
        unsafe { (self.api.input)(self.context, index, &raw mut tensor, self.status.as_ptr()) }
        self.status.result()?;
        Ok(Input { run: self, tensor })
    }

    #[cold]
    fn fail(&self, error: &ServingError) {
        let text = CString::new(error.message.replace('\0', " ")).unwrap_or_default();
        // SAFETY: all objects are live, and the text is a C string that TensorFlow copies.
        unsafe {
            (self.api.set_status)(self.status.as_ptr(), error.code as c_int, text.as_ptr());
            (self.api.failure)(self.context, self.status.as_ptr());
        }
    }
}

impl Input<'_> {
    fn has_rank(&self, rank: u32) -> bool {
        let rank = rank as c_int;
        // SAFETY: the object is live, and each dimension is one that it has.
        unsafe {
            (self.run.functions.num_dims)(self.tensor) == rank
                && (0..rank).all(|at| i32::try_from((self.run.functions.dim)(self.tensor, at)).is_ok())
        }
    }

    /// Whether it is one element, in at most `rank` dimensions.
    fn is_single(&self, rank: u32) -> bool {
        let dims = self.dims();
        dims.len() <= rank as usize && dims.iter().all(|&dim| dim == 1)
    }

    fn dims(&self) -> Vec<i64> {
        // SAFETY: as above.
        unsafe {
            let rank = (self.run.functions.num_dims)(self.tensor);
            (0..rank).map(|at| (self.run.functions.dim)(self.tensor, at)).collect()
        }
    }

    /// Its elements as well if they are few whole numbers, or are to be looked at `in_full`.
    fn value(&self, in_full: bool) -> Value {
        // SAFETY: the object is live.
        let dtype = unsafe { (self.run.functions.tensor_type)(self.tensor) };
        let mut value = Value { dims: self.dims(), dtype, bytes: Vec::new() };
        let elements = value.elements();
        let is_short = value.is_integer() && elements <= SHORT;
        if Value::is_looked_at(dtype) && elements <= MOST as i64 && (is_short || in_full) {
            value.bytes = self.bytes().to_vec();
        }
        value
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the object is live, and its data is as long as it says and lives as long as the object. On the CPU,
        // the only device with this kernel, it is in memory that can be read.
        unsafe {
            let data = (self.run.functions.tensor_data)(self.tensor);
            let len = (self.run.functions.tensor_byte_size)(self.tensor);
            if data.is_null() || len == 0 { &[] } else { slice::from_raw_parts(data.cast(), len) }
        }
    }
}

#[cold]
fn wrong_rank(spec: &Spec, first: &Input<'_>) -> String {
    let value = Value { dims: first.dims(), ..Value::default() };
    lacks(Need::Rank(0, spec.rank as usize), &[value], None).unwrap_or_default()
}

#[cold]
fn not_single(first: &Input<'_>) -> String {
    let value = Value { dims: first.dims(), ..Value::default() };
    let many = || "input 0 must be a single element in one dimension or none".to_owned();
    lacks(Need::One(0), &[value], None).unwrap_or_else(many)
}

fn refusal(spec: &Spec, reason: &str) -> ServingError {
    ServingError::invalid_argument(format!("{}: {reason}", spec.op))
}
