// SPDX-License-Identifier: Apache-2.0
//! The parts of TensorFlow's C API for ops, kernels and graphs that only guards need. See `kernels.h`, `ops.h` and
//! `c_api.h`.

use std::ffi::{CStr, c_char, c_int, c_void};

use libloading::os::unix::Library;

use crate::tensorflow::functions::{TfBuffer, TfGraph, TfOperation, TfOutput, TfStatus, TfTensor};

macro_rules! opaque {
    ($($name:ident)*) => {
        $(
            #[repr(C)]
            pub(in crate::tensorflow) struct $name {
                _private: [u8; 0],
            }
        )*
    };
}

opaque! {
    ImportOptions OpBuilder KernelBuilder KernelConstruction KernelContext ShapeContext ShapeHandle
}

pub(in crate::tensorflow) type Create = unsafe extern "C" fn(*mut KernelConstruction) -> *mut c_void;
pub(in crate::tensorflow) type Compute = unsafe extern "C" fn(*mut c_void, *mut KernelContext);
pub(in crate::tensorflow) type Delete = unsafe extern "C" fn(*mut c_void);
pub(in crate::tensorflow) type InferShape = unsafe extern "C" fn(*mut ShapeContext, *mut TfStatus);

macro_rules! functions {
    ($($name:ident: $symbol:literal fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The functions, by what they do.
        pub(in crate::tensorflow) struct GuardFunctions {
            $(pub(in crate::tensorflow) $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl GuardFunctions {
            /// `None` if the library lacks one.
            pub(in crate::tensorflow) fn look_up(library: &Library) -> Option<GuardFunctions> {
                // SAFETY: each type is the one that TensorFlow's headers declare for the symbol, and the library is never
                // closed.
                unsafe { Some(GuardFunctions { $($name: *library.get(symbol($symbol)).ok()?,)* }) }
            }
        }
    };
}

fn symbol(name: &CStr) -> &[u8] {
    name.to_bytes_with_nul()
}

functions! {
    set_status: c"TF_SetStatus" fn(*mut TfStatus, c_int, *const c_char);

    new_import_options: c"TF_NewImportGraphDefOptions" fn() -> *mut ImportOptions;
    delete_import_options: c"TF_DeleteImportGraphDefOptions" fn(*mut ImportOptions);
    import_set_prefix: c"TF_ImportGraphDefOptionsSetPrefix" fn(*mut ImportOptions, *const c_char);
    import_add_mapping: c"TF_ImportGraphDefOptionsAddInputMapping"
        fn(*mut ImportOptions, *const c_char, c_int, TfOutput);
    import_remap_control: c"TF_ImportGraphDefOptionsRemapControlDependency"
        fn(*mut ImportOptions, *const c_char, *mut TfOperation);
    import_graph_def: c"TF_GraphImportGraphDef" fn(*mut TfGraph, *const TfBuffer, *const ImportOptions, *mut TfStatus);

    new_op: c"TF_NewOpDefinitionBuilder" fn(*const c_char) -> *mut OpBuilder;
    op_input: c"TF_OpDefinitionBuilderAddInput" fn(*mut OpBuilder, *const c_char);
    op_output: c"TF_OpDefinitionBuilderAddOutput" fn(*mut OpBuilder, *const c_char);
    op_attribute: c"TF_OpDefinitionBuilderAddAttr" fn(*mut OpBuilder, *const c_char);
    op_shape: c"TF_OpDefinitionBuilderSetShapeInferenceFunction" fn(*mut OpBuilder, InferShape);
    register_op: c"TF_RegisterOpDefinition" fn(*mut OpBuilder, *mut TfStatus);

    new_shape: c"TF_NewShapeHandle" fn() -> *mut ShapeHandle;
    delete_shape: c"TF_DeleteShapeHandle" fn(*mut ShapeHandle);
    input_shape: c"TF_ShapeInferenceContextGetInput" fn(*mut ShapeContext, c_int, *mut ShapeHandle, *mut TfStatus);
    set_output_shape: c"TF_ShapeInferenceContextSetOutput" fn(*mut ShapeContext, c_int, *mut ShapeHandle, *mut TfStatus);

    new_kernel: c"TF_NewKernelBuilder"
        fn(*const c_char, *const c_char, Option<Create>, Compute, Option<Delete>) -> *mut KernelBuilder;
    register_kernel: c"TF_RegisterKernelBuilder" fn(*const c_char, *mut KernelBuilder, *mut TfStatus);
    attribute_size: c"TF_OpKernelConstruction_GetAttrSize"
        fn(*mut KernelConstruction, *const c_char, *mut i32, *mut i32, *mut TfStatus);
    string_attribute: c"TF_OpKernelConstruction_GetAttrString"
        fn(*mut KernelConstruction, *const c_char, *mut c_char, usize, *mut TfStatus);
    input: c"TF_GetInput" fn(*mut KernelContext, c_int, *mut *mut TfTensor, *mut TfStatus);
    set_output: c"TF_SetOutput" fn(*mut KernelContext, c_int, *const TfTensor, *mut TfStatus);
    failure: c"TF_OpKernelContext_Failure" fn(*mut KernelContext, *mut TfStatus);
}
