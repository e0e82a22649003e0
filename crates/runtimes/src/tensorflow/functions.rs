// SPDX-License-Identifier: Apache-2.0
//! TensorFlow's stable C API: its types, and a table of the functions that are used.
//!
//! What each function requires and guarantees is written in TensorFlow's headers `c_api.h`, `tf_tensor.h` and
//! `tf_tstring.h`.

use std::ffi::{CStr, c_char, c_int, c_void};

use libloading::os::unix::Library;

use super::guard::GuardFunctions;

macro_rules! opaque {
    ($($name:ident)*) => {
        $(
            #[repr(C)]
            pub(super) struct $name {
                _private: [u8; 0],
            }
        )*
    };
}

opaque! { TfGraph TfOperation TfSession TfSessionOptions TfStatus TfTensor TfLibrary }

/// An output of an operation.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct TfOutput {
    pub(super) operation: *mut TfOperation,
    pub(super) index: c_int,
}

/// Bytes that TensorFlow reads, or a place for bytes that it returns.
#[repr(C)]
pub(super) struct TfBuffer {
    pub(super) data: *const c_void,
    pub(super) length: usize,
    pub(super) deallocator: Option<unsafe extern "C" fn(*mut c_void, usize)>,
}

/// TensorFlow's string object. Its content is TensorFlow's business; size and alignment are part of the interface.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct TfString([u64; 3]);

impl TfString {
    /// Memory in which `TF_StringInit` has yet to make a string.
    pub(super) const UNINITIALIZED: TfString = TfString([0; 3]);
}

/// Gives back the memory of a tensor: its data, its length and the argument that came with them.
pub(super) type Deallocator = unsafe extern "C" fn(*mut c_void, usize, *mut c_void);

/// The name that compilers of the Itanium C++ ABI, which are all but Microsoft's, give it.
const USE_GLOBAL_THREADPOOL: &CStr = c"_ZN10tensorflow11LocalDevice22use_global_threadpool_E";

macro_rules! functions {
    ($($name:ident: $symbol:literal fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The functions, by their names without the prefix.
        pub(super) struct Functions {
            $(pub(super) $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            /// Absent before TensorFlow exported it.
            pub(super) extend_session: Option<unsafe extern "C" fn(*mut TfSession, *mut TfStatus)>,
            /// `tensorflow::LocalDevice::use_global_threadpool_`, which is not of the C API and may be gone any day. It
            /// has been there since TensorFlow 1.
            pub(super) use_global_threadpool: Option<*mut bool>,
            /// What guards need; absent if the library does not let ops be registered.
            pub(super) guard: Option<GuardFunctions>,
        }

        // SAFETY: functions may be called from any thread; who uses the one variable sees to the order.
        unsafe impl Send for Functions {}
        // SAFETY: as above.
        unsafe impl Sync for Functions {}

        impl Functions {
            /// Looks every function up; an error names the first that is missing.
            pub(super) fn look_up(library: &Library) -> Result<Functions, libloading::Error> {
                // SAFETY: each type is the one that TensorFlow's headers declare for the symbol. The table is used only
                // while the library is open: `super::library` never closes it.
                unsafe {
                    Ok(Functions {
                        $($name: *library.get($symbol)?,)*
                        extend_session: library.get(c"TF_ExtendSession").ok().map(|symbol| *symbol),
                        use_global_threadpool: library.get(USE_GLOBAL_THREADPOOL).ok().map(|symbol| *symbol),
                        guard: GuardFunctions::look_up(library),
                    })
                }
            }
        }
    };
}

functions! {
    version: c"TF_Version" fn() -> *const c_char;

    new_status: c"TF_NewStatus" fn() -> *mut TfStatus;
    delete_status: c"TF_DeleteStatus" fn(*mut TfStatus);
    get_code: c"TF_GetCode" fn(*const TfStatus) -> c_int;
    message: c"TF_Message" fn(*const TfStatus) -> *const c_char;
    set_status: c"TF_SetStatus" fn(*mut TfStatus, c_int, *const c_char);

    new_tensor: c"TF_NewTensor" fn(c_int, *const i64, c_int, *mut c_void, usize, Deallocator, *mut c_void) -> *mut TfTensor;
    delete_tensor: c"TF_DeleteTensor" fn(*mut TfTensor);
    tensor_type: c"TF_TensorType" fn(*const TfTensor) -> c_int;
    num_dims: c"TF_NumDims" fn(*const TfTensor) -> c_int;
    dim: c"TF_Dim" fn(*const TfTensor, c_int) -> i64;
    tensor_byte_size: c"TF_TensorByteSize" fn(*const TfTensor) -> usize;
    tensor_data: c"TF_TensorData" fn(*const TfTensor) -> *mut c_void;

    string_init: c"TF_StringInit" fn(*mut TfString);
    string_copy: c"TF_StringCopy" fn(*mut TfString, *const c_char, usize);
    string_dealloc: c"TF_StringDealloc" fn(*mut TfString);
    string_get_data_pointer: c"TF_StringGetDataPointer" fn(*const TfString) -> *const c_char;
    string_get_size: c"TF_StringGetSize" fn(*const TfString) -> usize;

    new_buffer: c"TF_NewBuffer" fn() -> *mut TfBuffer;
    delete_buffer: c"TF_DeleteBuffer" fn(*mut TfBuffer);

    new_graph: c"TF_NewGraph" fn() -> *mut TfGraph;
    delete_graph: c"TF_DeleteGraph" fn(*mut TfGraph);
    graph_operation_by_name: c"TF_GraphOperationByName" fn(*mut TfGraph, *const c_char) -> *mut TfOperation;
    graph_next_operation: c"TF_GraphNextOperation" fn(*mut TfGraph, *mut usize) -> *mut TfOperation;
    graph_tensor_rank: c"TF_GraphGetTensorNumDims" fn(*mut TfGraph, TfOutput, *mut TfStatus) -> c_int;
    operation_op_type: c"TF_OperationOpType" fn(*mut TfOperation) -> *const c_char;
    operation_num_outputs: c"TF_OperationNumOutputs" fn(*mut TfOperation) -> c_int;
    operation_output_type: c"TF_OperationOutputType" fn(TfOutput) -> c_int;

    new_session_options: c"TF_NewSessionOptions" fn() -> *mut TfSessionOptions;
    delete_session_options: c"TF_DeleteSessionOptions" fn(*mut TfSessionOptions);
    set_config: c"TF_SetConfig" fn(*mut TfSessionOptions, *const c_void, usize, *mut TfStatus);
    new_session: c"TF_NewSession" fn(*mut TfGraph, *const TfSessionOptions, *mut TfStatus) -> *mut TfSession;
    load_session_from_saved_model: c"TF_LoadSessionFromSavedModel" fn(
        *const TfSessionOptions, *const TfBuffer, *const c_char, *const *const c_char, c_int, *mut TfGraph,
        *mut TfBuffer, *mut TfStatus
    ) -> *mut TfSession;
    close_session: c"TF_CloseSession" fn(*mut TfSession, *mut TfStatus);
    delete_session: c"TF_DeleteSession" fn(*mut TfSession, *mut TfStatus);
    session_run: c"TF_SessionRun" fn(
        *mut TfSession, *const TfBuffer, *const TfOutput, *const *mut TfTensor, c_int, *const TfOutput,
        *mut *mut TfTensor, c_int, *const *const TfOperation, c_int, *mut TfBuffer, *mut TfStatus
    );

    get_all_op_list: c"TF_GetAllOpList" fn() -> *mut TfBuffer;
    load_library: c"TF_LoadLibrary" fn(*const c_char, *mut TfStatus) -> *mut TfLibrary;
    delete_library_handle: c"TF_DeleteLibraryHandle" fn(*mut TfLibrary);
}
