// SPDX-License-Identifier: Apache-2.0
//! A model that is asked in this process: NumPy arrays in and out, no server between.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList, PySlice, PyTuple};
use tensorserve_batching::Pool;
use tensorserve_runtimes::dlpack;
use tensorserve_servables::execution::executor::default_threads;
use tensorserve_servables::verbs::predict::{Answer, InputValue, Inputs, Prepared, prepare};
use tensorserve_servables::{Executor, ServableHandle, Signature, SoleServable};
use tensorserve_tensors::{AlignedBuffer, DataType, Shape, StringElements, Tensor, TensorData};
use tokio::runtime::{Builder, Runtime};

use crate::error::to_python;
use crate::servable::Servable;

/// Waits for batches on behalf of callers; made when the first model is batched or asked from an event loop.
static WAITING: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(1).thread_name("tensorserve-engine").enable_time().build()
});

/// One signature of a model.
#[pyclass(frozen, module = "tensorserve._core")]
pub(crate) struct Engine {
    handle: ServableHandle,
    signature: Arc<Signature>,
    executor: Executor,
    /// Requests share batches, so they go through queues.
    batched: bool,
    /// A run may keep its inputs, in a variable say; then they must not be the caller's memory.
    keeps_inputs: bool,
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (servable, signature, batched = false))]
    fn new(servable: &Servable, signature: &str, batched: bool) -> PyResult<Self> {
        let keeps_inputs = servable.servable.session().has_effects(signature);
        let handle = SoleServable::new("model", Arc::clone(&servable.servable)).handle().clone();
        let signature = handle.predict_signature(signature).map_err(to_python)?;
        let pool = Pool::new("tensorserve-engine", default_threads(), HashMap::new());
        let executor = Executor::new(pool.clone(), pool);
        Ok(Engine { handle, signature, executor, batched, keeps_inputs })
    }

    /// Computes all outputs of arrays by alias.
    fn run<'py>(&self, py: Python<'py>, inputs: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
        // Kept until the interpreter's lock is held again: freeing an array takes it.
        let tensors = self.tensors(inputs)?;
        let prepared = self.prepared(&tensors)?;
        let answer = py.detach(|| self.compute(prepared)).map_err(to_python)?;
        drop(tensors);
        outputs(py, &answer)
    }

    /// Computes all outputs, and hands them, or the exception, to `done(outputs, error)` on another thread.
    fn submit(&self, inputs: &Bound<'_, PyDict>, done: Py<PyAny>) -> PyResult<()> {
        let prepared = self.prepared(&self.tensors(inputs)?)?;
        let executor = self.executor.clone();
        waiting()?.spawn(async move {
            let answer = prepared.run_in_turn(&executor).await;
            // There is nobody to tell if the interpreter is gone. An exception of `done` is shown as one of a thread is.
            Python::try_attach(|py| {
                let answer = answer.map_err(to_python).and_then(|answer| outputs(py, &answer));
                let told = match answer {
                    Ok(outputs) => done.call1(py, (outputs, py.None())),
                    Err(error) => done.call1(py, (py.None(), error)),
                };
                if let Err(error) = told {
                    error.write_unraisable(py, Some(done.bind(py)));
                }
            });
        });
        Ok(())
    }
}

type Named = Vec<(String, Tensor)>;

impl Engine {
    fn tensors(&self, inputs: &Bound<'_, PyDict>) -> PyResult<Named> {
        inputs.iter().map(|(alias, value)| Ok((alias.extract()?, self.tensor(&value)?))).collect()
    }

    fn tensor(&self, array: &Bound<'_, PyAny>) -> PyResult<Tensor> {
        if !self.keeps_inputs
            && let Ok(capsule) = array.call_method0(intern!(array.py(), "__dlpack__"))
        {
            let shared = dlpack::tensor(capsule.cast()?)?;
            if let Some(tensor) = shared {
                return Ok(tensor);
            }
        }
        copied(array)
    }

    fn prepared(&self, tensors: &Named) -> PyResult<Prepared> {
        let inputs: Inputs<'_> = tensors
            .iter()
            .map(|(alias, tensor)| (Cow::Borrowed(alias.as_str()), InputValue::Tensor(tensor.clone())))
            .collect();
        prepare(self.handle.clone(), Arc::clone(&self.signature), inputs, &[]).map_err(to_python)
    }

    fn compute(&self, prepared: Prepared) -> tensorserve_servables::Result<Answer> {
        if !self.batched {
            return prepared.run_here();
        }
        let runtime = WAITING.as_ref().map_err(no_thread)?;
        runtime.handle().block_on(prepared.run_in_turn(&self.executor))
    }
}

fn waiting() -> PyResult<&'static Runtime> {
    WAITING.as_ref().map_err(|error| to_python(no_thread(error)))
}

fn no_thread(error: &std::io::Error) -> tensorserve_servables::ServingError {
    tensorserve_servables::ServingError::internal(format!("cannot start a thread: {error}"))
}

/// An array that cannot be shared: of strings, read-only, not contiguous, or of a model that may keep it.
fn copied(array: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    let py = array.py();
    let dims: Vec<i64> = array.getattr(intern!(py, "shape"))?.extract()?;
    let shape = Shape::new(&dims).ok_or_else(|| PyTypeError::new_err("the array is too large"))?;
    let dtype_name: String = array.getattr(intern!(py, "dtype"))?.getattr(intern!(py, "str"))?.extract()?;
    if dtype_name.starts_with("|O") {
        let values = array.call_method0(intern!(py, "ravel"))?.call_method0(intern!(py, "tolist"))?;
        let values: Vec<PyBackedBytes> = values.extract()?;
        return Ok(Tensor::strings(shape, values.into_iter().map(Bytes::from_owner).collect()));
    }
    let name: String = array.getattr(intern!(py, "dtype"))?.getattr(intern!(py, "name"))?.extract()?;
    let dtype = numpy_dtype(&name).filter(|_| !dtype_name.starts_with('>'));
    let dtype = dtype.ok_or_else(|| PyTypeError::new_err(format!("no tensor has the type {dtype_name}")))?;
    let bytes = array.call_method0(intern!(py, "tobytes"))?;
    let bytes = bytes.cast::<PyBytes>()?.as_bytes();
    let mut buffer = AlignedBuffer::zeroed(bytes.len());
    buffer.as_mut().copy_from_slice(bytes);
    Ok(Tensor::plain(dtype, shape, buffer))
}

/// NumPy's names of the types that tensors have, where they are not TensorFlow's.
const NAMES: [(&str, DataType); 4] = [
    ("float16", DataType::Half),
    ("float32", DataType::Float),
    ("float64", DataType::Double),
    ("bool", DataType::Bool),
];

fn numpy_dtype(name: &str) -> Option<DataType> {
    let named = NAMES.iter().find(|(known, _)| *known == name).map(|(_, dtype)| *dtype);
    named.or_else(|| DataType::ALL.iter().copied().find(|dtype| dtype.name() == name && dtype.size() > 0))
}

fn numpy_name(dtype: DataType) -> &'static str {
    NAMES.iter().find(|(_, known)| *known == dtype).map_or(dtype.name(), |(name, _)| name)
}

/// What results are made with.
struct NumPy {
    array: Py<PyAny>,
    empty: Py<PyAny>,
    object: Py<PyAny>,
    /// The type objects by the number of the `DataType`.
    dtypes: HashMap<i32, Py<PyAny>>,
}

static NUMPY: PyOnceLock<NumPy> = PyOnceLock::new();

fn numpy(py: Python<'_>) -> PyResult<&NumPy> {
    NUMPY.get_or_try_init(py, || {
        let module = py.import("numpy")?;
        let mut dtypes = HashMap::new();
        for &dtype in DataType::ALL.iter().filter(|dtype| dtype.size() > 0) {
            // bfloat16 and its like are types of NumPy once the package ml_dtypes is imported.
            if let Ok(found) = module.call_method1("dtype", (numpy_name(dtype),)) {
                dtypes.insert(dtype as i32, found.unbind());
            }
        }
        let object = module.call_method1("dtype", ("O",))?.unbind();
        Ok(NumPy {
            array: module.getattr("ndarray")?.unbind(),
            empty: module.getattr("empty")?.unbind(),
            object,
            dtypes,
        })
    })
}

/// Arrays of their own: what a model gives may be memory of its constants.
fn outputs<'py>(py: Python<'py>, answer: &Answer) -> PyResult<Bound<'py, PyDict>> {
    let numpy = numpy(py)?;
    let found = PyDict::new(py);
    for (alias, tensor) in answer.outputs() {
        found.set_item(alias, array(py, numpy, alias, tensor)?)?;
    }
    Ok(found)
}

fn array<'py>(py: Python<'py>, numpy: &NumPy, alias: &str, tensor: &Tensor) -> PyResult<Bound<'py, PyAny>> {
    let shape = PyTuple::new(py, tensor.shape().dims())?;
    match tensor.data() {
        TensorData::Strings(strings) => strings_array(py, numpy, shape, &**strings),
        TensorData::Plain(bytes) => {
            let dtype = numpy.dtypes.get(&(tensor.dtype() as i32)).ok_or_else(|| {
                let name = tensor.dtype().name();
                PyTypeError::new_err(format!("output {alias} is {name}, which NumPy does not have; import ml_dtypes"))
            })?;
            numpy.array.bind(py).call1((shape, dtype, PyByteArray::new(py, bytes)))
        }
    }
}

fn strings_array<'py>(
    py: Python<'py>,
    numpy: &NumPy,
    shape: Bound<'py, PyTuple>,
    strings: &dyn StringElements,
) -> PyResult<Bound<'py, PyAny>> {
    let values = PyList::new(py, (0..strings.len()).map(|index| PyBytes::new(py, strings.get(index))))?;
    let flat = numpy.empty.bind(py).call1((strings.len(), &numpy.object))?;
    flat.set_item(PySlice::full(py), values)?;
    flat.call_method1(intern!(py, "reshape"), (shape,))
}
