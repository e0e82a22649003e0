// SPDX-License-Identifier: Apache-2.0
//! Kernels that would end the process are not reached by inputs that they cannot take.

use tensorserve_runtimes::Session;
use tensorserve_tensors::{Code, Tensor};

use crate::fixture::{float_values, floats, int64s, load, run, run_one};

/// Where a convolution of rank 4 can stand.
const PLACES: [&str; 5] = ["convolve", "nested", "padded", "looped", "branched"];

fn ones(dims: &[i64]) -> Tensor {
    let count = usize::try_from(dims.iter().product::<i64>()).expect("a small shape");
    floats(dims, &vec![1.0; count])
}

pub(crate) fn right_shapes_compute() {
    let session = load("convolutions");
    for (key, expected) in PLACES.iter().zip([4.0, 4.0, 1.0, 16.0, 4.0]) {
        let y = run_one(&*session, key, &[("x", ones(&[1, 3, 3, 1]))], "y");
        assert_eq!(float_values(&y)[0], expected, "{key}");
    }
    let y = run_one(&*session, "flat", &[("x", ones(&[1, 3, 1]))], "y");
    assert_eq!(float_values(&y), [2.0, 2.0]);
    let inputs = [("x", ones(&[1, 1, 1, 1])), ("sizes", int64s(&[4], &[1, 2, 2, 1]))];
    assert_eq!(float_values(&run_one(&*session, "transposed", &inputs, "y")), [1.0; 4]);
    let inputs = [("x", ones(&[2, 1])), ("at", int64s(&[1, 1], &[1]))];
    assert_eq!(float_values(&run_one(&*session, "scattered", &inputs, "y")), [1.0, 2.0]);
}

fn check_refused(session: &dyn Session, key: &str, inputs: &[(&str, Tensor)], text: &str) {
    let error = run(session, key, inputs, &["y"]).expect_err(key);
    assert_eq!(error.code, Code::InvalidArgument, "{key}: {error}");
    assert!(error.message.contains(text), "{key}: {error}");
}

pub(crate) fn wrong_ranks_are_refused_wherever_the_kernel_stands() {
    let session = load("convolutions");
    for key in PLACES {
        for dims in [&[3, 3, 1][..], &[3], &[], &[1, 1, 3, 3, 1], &[2, 3]] {
            check_refused(&*session, key, &[("x", ones(dims))], "must be 4-dimensional");
        }
    }
    for dims in [&[3, 1][..], &[3], &[1, 1, 3, 1]] {
        check_refused(&*session, "flat", &[("x", ones(dims))], "must be 3-dimensional");
    }
}

pub(crate) fn sizes_that_come_from_a_request_are_checked() {
    let session = load("convolutions");
    for sizes in [&[1, -1, -1, 1][..], &[1, 2, 2], &[], &[1, 1 << 31, 2, 1], &[1, 2, 2, 1, 1]] {
        let sizes = int64s(&[sizes.len() as i64], sizes);
        check_refused(&*session, "transposed", &[("x", ones(&[1, 1, 1, 1])), ("sizes", sizes)], "Conv2D");
    }
    let inputs = [("x", ones(&[1, 1, 1])), ("sizes", int64s(&[4], &[1, 2, 2, 1]))];
    check_refused(&*session, "transposed", &inputs, "must be 4-dimensional");
    let inputs = [("x", ones(&[2, 1])), ("at", int64s(&[2, 1, 1], &[0, 1]))];
    check_refused(&*session, "scattered", &inputs, "TensorScatterAdd");
}

pub(crate) fn graphs_of_tensorflow_1_are_guarded() {
    let session = load("graph_convolutions");
    for (key, expected) in [("first", 4.0), ("second", 16.0), ("loop", 16.0)] {
        let y = run_one(&*session, key, &[("x", ones(&[1, 3, 3, 1]))], "y");
        assert_eq!(float_values(&y)[0], expected, "{key}");
        check_refused(&*session, key, &[("x", ones(&[3, 3, 1]))], "must be 4-dimensional");
    }
}

pub(crate) fn shapes_that_no_kernel_asks_for_are_answered() {
    let session = load("graph_convolutions");
    run_one(&*session, "size", &[("x", ones(&[3]))], "y");
    // The branch that does not convolve takes any shape.
    let zeros = floats(&[1, 1, 1, 1, 1], &[0.0]);
    assert_eq!(float_values(&run_one(&*load("convolutions"), "branched", &[("x", zeros)], "y")), [0.0]);
}
