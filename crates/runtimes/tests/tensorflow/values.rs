// SPDX-License-Identifier: Apache-2.0
//! Values of fixed-size elements on their way in and out.

use bytes::Bytes;
use tensorserve_tensors::{DataType, Tensor, TensorData};

use crate::fixture::{
    float_values, floats, int32_values, int64_values, load, plain, run, run_one, shape, string_values,
};

/// The signatures of the model `identities`, and the types behind them.
const IDENTITIES: [(&str, DataType); 24] = [
    ("float32", DataType::Float),
    ("float64", DataType::Double),
    ("int8", DataType::Int8),
    ("int16", DataType::Int16),
    ("int32", DataType::Int32),
    ("int64", DataType::Int64),
    ("uint8", DataType::Uint8),
    ("uint16", DataType::Uint16),
    ("uint32", DataType::Uint32),
    ("uint64", DataType::Uint64),
    ("bool", DataType::Bool),
    ("float16", DataType::Half),
    ("bfloat16", DataType::Bfloat16),
    ("complex64", DataType::Complex64),
    ("complex128", DataType::Complex128),
    ("qint8", DataType::Qint8),
    ("quint8", DataType::Quint8),
    ("qint16", DataType::Qint16),
    ("quint16", DataType::Quint16),
    ("qint32", DataType::Qint32),
    ("float8_e5m2", DataType::Float8E5m2),
    ("float8_e4m3fn", DataType::Float8E4m3fn),
    ("int4", DataType::Int4),
    ("uint4", DataType::Uint4),
];

pub(crate) fn half_plus_two_computes() {
    let session = load("half_plus_two");
    let y = run_one(&*session, "serving_default", &[("x", floats(&[3], &[1.0, 2.0, 5.0]))], "y");
    assert_eq!(y.shape().dims(), [3]);
    assert_eq!(float_values(&y), [2.5, 3.0, 4.5]);
}

/// Elements that differ from each other and are valid for the type.
fn pattern(dtype: DataType, elements: usize) -> Vec<u8> {
    let largest = if matches!(dtype, DataType::Bool) { 2 } else { 16 };
    (0..elements * dtype.size()).map(|i| (i * 7 % largest) as u8).collect()
}

pub(crate) fn every_element_type_passes_unchanged() {
    let session = load("identities");
    for (key, dtype) in IDENTITIES {
        let elements = pattern(dtype, 6);
        let y = run_one(&*session, key, &[("x", plain(dtype, &[2, 3], &elements))], "y");
        assert_eq!((y.dtype(), y.shape().dims(), y.bytes()), (dtype, &[2, 3][..], &elements[..]), "{key}");
    }
    let covered = |dtype: &DataType| dtype.size() == 0 || IDENTITIES.iter().any(|(_, other)| other == dtype);
    let uncovered: Vec<_> = DataType::ALL.iter().filter(|dtype| !covered(dtype)).collect();
    // TensorFlow's releases differ in which of these a graph may use.
    let rare = [DataType::Float8E4m3fnuz, DataType::Float8E4m3b11fnuz, DataType::Float8E5m2fnuz];
    let small = [DataType::Int2, DataType::Uint2, DataType::Float4E2m1fn];
    assert!(uncovered.iter().all(|dtype| rare.contains(dtype) || small.contains(dtype)));
}

pub(crate) fn no_elements_pass() {
    let session = load("identities");
    for (key, dtype) in IDENTITIES {
        let y = run_one(&*session, key, &[("x", plain(dtype, &[4, 0, 2], &[]))], "y");
        assert_eq!((y.dtype(), y.shape().dims(), y.bytes()), (dtype, &[4, 0, 2][..], &[][..]), "{key}");
    }
}

pub(crate) fn scalars_pass() {
    let session = load("scalars");
    let y = run_one(&*session, "product", &[("a", floats(&[], &[6.0])), ("b", floats(&[], &[7.0]))], "y");
    assert_eq!((y.shape().rank(), float_values(&y)), (0, vec![42.0]));
}

pub(crate) fn a_signature_without_inputs_runs() {
    let session = load("scalars");
    assert_eq!(int64_values(&run_one(&*session, "constant", &[], "y")), [42]);
}

pub(crate) fn several_outputs_come_in_the_order_asked_for() {
    let session = load("several_outputs");
    let x = floats(&[3], &[1.0, 3.0, 2.0]);
    let results =
        run(&*session, "serving_default", &[("x", x)], &["text", "indices", "values"]).expect("three results");
    assert_eq!(string_values(&results[0])[1], b"3.000000");
    assert_eq!(int32_values(&results[1]), [1, 2]);
    assert_eq!(float_values(&results[2]), [3.0, 2.0]);
}

pub(crate) fn one_output_may_be_asked_for_twice() {
    let session = load("half_plus_two");
    let results = run(&*session, "serving_default", &[("x", floats(&[1], &[2.0]))], &["y", "y"]).expect("two results");
    assert_eq!((float_values(&results[0]), float_values(&results[1])), (vec![3.0], vec![3.0]));
}

pub(crate) fn unaligned_bytes_are_accepted() {
    let session = load("half_plus_two");
    let aligned = floats(&[5], &[0.0, 1.0, 2.0, 3.0, 4.0]);
    for offset in 1..16 {
        let mut shifted = vec![0; offset];
        shifted.extend_from_slice(aligned.bytes());
        let bytes = Bytes::from(shifted).slice(offset..);
        let x = Tensor::new(DataType::Float, shape(&[5]), TensorData::Plain(bytes));
        let y = run_one(&*session, "serving_default", &[("x", x)], "y");
        assert_eq!(float_values(&y), [2.0, 2.5, 3.0, 3.5, 4.0], "offset {offset}");
    }
}

pub(crate) fn feeds_are_not_copied() {
    let session = load("identities");
    let x = floats(&[1024], &[1.5; 1024]);
    let y = run_one(&*session, "float32", &[("x", x.clone())], "y");
    assert_eq!(x.bytes().as_ptr(), y.bytes().as_ptr(), "an identity gives back the memory of its input");
    drop(x);
    assert_eq!(float_values(&y), [1.5; 1024], "and keeps it alive");
}

pub(crate) fn reference_variables_are_values() {
    let session = load("tf1_assets");
    let scale = run_one(&*session, "reference", &[], "scale");
    assert_eq!((scale.dtype(), float_values(&scale)), (DataType::Float, vec![3.0]));
}

pub(crate) fn results_do_not_change_when_state_does() {
    let session = load("tf1_assets");
    let count = || run_one(&*session, "count", &[("step", floats(&[2], &[1.0, 10.0]))], "count");
    let results: Vec<_> = (0..3).map(|_| count()).collect();
    let values: Vec<_> = results.iter().map(float_values).collect();
    assert_eq!(values, [[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]);
}

pub(crate) fn results_outlive_the_session() {
    let session = load("half_plus_two");
    let y = run_one(&*session, "serving_default", &[("x", floats(&[1], &[8.0]))], "y");
    drop(session);
    assert_eq!(float_values(&y), [6.0]);
}
