// SPDX-License-Identifier: Apache-2.0
//! NumPy's formats. The first byte chooses `.npy` or `.npz`, the second the type that is wanted.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tensorserve_fuzz::memory::within;
use tensorserve_fuzz::value::Value;
use tensorserve_tensors::npy::{decode_npy, decode_npz, encode_npy, encode_npz};
use tensorserve_tensors::{DataType, Result, Tensor};

/// What the arrays of a file may have together; deflated ones may be far larger than the file.
const MAX_BYTES: usize = 4 << 20;

fuzz_target!(|data: &[u8]| {
    let [kind, wanted, file @ ..] = data else { return };
    let wanted = DataType::ALL.get(usize::from(*wanted)).copied();
    // Strings of no width cost what the engine needs for them, which is bounded by itself.
    let limit = 64 * file.len() + (80 << 20);
    if kind % 2 == 0 {
        if let Ok(tensor) = within(limit, || decode_npy(file, wanted)) {
            check(&tensor, wanted);
            if let Ok(written) = encode_npy(&tensor, usize::MAX) {
                same(&tensor, &decode_npy(&written, Some(tensor.dtype())));
            }
        }
    } else if let Ok(tensors) = within(limit + 4 * MAX_BYTES, || decode_npz(file, MAX_BYTES, |_| Ok(wanted))) {
        for (name, tensor) in &tensors {
            check(tensor, wanted);
            let Ok(written) = encode_npz(&[(name, tensor)], usize::MAX) else { continue };
            let read = decode_npz(&written, 2 * MAX_BYTES, |_| Ok(Some(tensor.dtype())));
            same(tensor, &read.map(|mut tensors| tensors.remove(0).1));
        }
    }
});

fn check(tensor: &Tensor, wanted: Option<DataType>) {
    assert!(wanted.is_none_or(|wanted| wanted == tensor.dtype()), "{tensor:?} is not {wanted:?}");
}

fn same(written: &Tensor, read: &Result<Tensor>) {
    let read = read.as_ref().expect("what was written is readable");
    assert_eq!((read.dtype(), read.shape()), (written.dtype(), written.shape()));
    if written.shape().num_elements() < 1 << 16 {
        let (written, read) = (Value::of(written), Value::of(read));
        assert!(read.equals(&written), "{read:?} should be {written:?}");
    }
}
