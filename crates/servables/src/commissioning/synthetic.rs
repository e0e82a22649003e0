// SPDX-License-Identifier: Apache-2.0
//! Inputs that a signature accepts, made from its declaration alone: for requests that nobody sent, as at warm-up.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tensorserve_protos::tensorflow::TensorInfo;
use tensorserve_runtimes::{RunOptions, TensorHandle};
use tensorserve_tensors::{AlignedBuffer, DataType, Shape, Tensor};

use crate::execution::computation::Feeds;
use crate::table::signature::{Endpoint, Signature};
use crate::{Result, Servable};

/// Inputs of one signature that take more than this together are not made.
pub const MAX_BYTES: usize = 64 << 20;

/// What a string costs beside its bytes.
const STRING_BYTES: usize = 64;

/// What the elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Zeros and empty strings.
    Zeros,
    /// Numbers that differ from element to element, the same ones each time: for fractions multiples of 1/8 from -1 to 1,
    /// which every type holds exactly, for whole numbers 0 and 1, which are in the range of any look-up. Strings are
    /// empty.
    Varied,
}

/// Fractions as the upper halves of their 32-bit form (which is bfloat16), and in 16-bit form.
const FRACTIONS: [(f32, u16); 8] = [
    (0.5, 0x3800),
    (-0.25, 0xb400),
    (1.0, 0x3c00),
    (0.125, 0x3000),
    (-0.5, 0xb800),
    (0.75, 0x3a00),
    (-1.0, 0xbc00),
    (0.25, 0x3400),
];

/// A run of a signature with inputs that nobody sent.
pub(crate) struct SyntheticRun<'a> {
    servable: &'a Servable,
    feeds: Feeds,
    fetches: Vec<TensorHandle>,
}

impl<'a> SyntheticRun<'a> {
    /// Of this number of `rows`; `None` if there are no such [`inputs`].
    pub(crate) fn new(servable: &'a Servable, signature: &Signature, rows: usize, values: Values) -> Option<Self> {
        let feeds = inputs(servable, signature, rows, values)?;
        let fetches: Vec<_> = signature.fetchable().map(|(_, handle)| handle).collect();
        (!fetches.is_empty()).then_some(SyntheticRun { servable, feeds, fetches })
    }

    /// What it takes once. Errors of the engine keep their code; nobody needs to understand them.
    pub(crate) fn time(&self, options: &RunOptions) -> Result<Duration> {
        let start = Instant::now();
        self.servable.session().run(&self.feeds, &self.fetches, options)?;
        Ok(start.elapsed())
    }
}

/// A value for each input of a signature. Dimension 0 is `rows` where the declaration leaves it
/// open, every other open dimension is 1, and a tensor of unknown rank has the one dimension `rows`. An input with a
/// default has that, unless its dimension 0 is open. The strings of a signature that parses examples are such examples.
///
/// `None` if an input has a type that no request can carry, or if all of them take more than [`MAX_BYTES`].
pub(crate) fn inputs(servable: &Servable, signature: &Signature, rows: usize, values: Values) -> Option<Feeds> {
    let def = servable.signature_defs().get(&signature.name)?;
    let example = Bytes::copy_from_slice(servable.session().made_up_example(&signature.name).unwrap_or_default());
    let mut feeds = Feeds::with_capacity(signature.inputs.len());
    let mut bytes_left = MAX_BYTES;
    for (number, input) in signature.inputs.iter().enumerate() {
        let info = def.inputs.get(&input.alias)?;
        let tensor = match signature.default_for(&input.alias) {
            Some(default) if !is_open(info) => default.clone(),
            _ => tensor(input, shape(info, rows)?, &Fill { values, example: &example, seed: number }, &mut bytes_left)?,
        };
        feeds.push((input.handle().ok()?, tensor));
    }
    Some(feeds)
}

/// Whether dimension 0 is anything that a request wants.
fn is_open(info: &TensorInfo) -> bool {
    let Some(shape) = &info.tensor_shape else { return true };
    shape.unknown_rank || shape.dim.first().is_some_and(|dim| dim.size < 0)
}

fn shape(info: &TensorInfo, rows: usize) -> Option<Shape> {
    let rows = i64::try_from(rows).ok()?;
    let Some(declared) = info.tensor_shape.as_ref().filter(|shape| !shape.unknown_rank) else {
        return Shape::new(&[rows]);
    };
    let sizes = declared.dim.iter().enumerate();
    let sizes = sizes.map(|(at, dim)| {
        if dim.size >= 0 {
            dim.size
        } else if at == 0 {
            rows
        } else {
            1
        }
    });
    Shape::new(&sizes.collect::<Vec<_>>())
}

/// What the elements of a tensor are.
struct Fill<'a> {
    values: Values,
    /// The strings.
    example: &'a Bytes,
    seed: usize,
}

fn tensor(input: &Endpoint, shape: Shape, fill: &Fill<'_>, bytes_left: &mut usize) -> Option<Tensor> {
    let dtype = input.dtype?;
    let size = match dtype {
        DataType::String => STRING_BYTES + fill.example.len(),
        DataType::Resource | DataType::Variant => return None,
        _ => dtype.size(),
    };
    let elements = shape.num_elements();
    *bytes_left = bytes_left.checked_sub(elements.checked_mul(size)?)?;
    if dtype == DataType::String {
        return Some(Tensor::strings(shape, vec![fill.example.clone(); elements]));
    }
    let mut buffer = AlignedBuffer::zeroed(elements * size);
    if fill.values == Values::Varied {
        vary(dtype, buffer.as_mut(), fill.seed as u64);
    }
    Some(Tensor::plain(dtype, shape, buffer))
}

/// Fills in elements. Types of 8-bit fractions, which hardly any op takes, stay zero.
fn vary(dtype: DataType, bytes: &mut [u8], seed: u64) {
    use DataType as T;
    let mut random = Random(seed);
    let mut each = |size: usize, put: fn(&mut [u8], u64)| {
        bytes.chunks_exact_mut(size).for_each(|element| put(element, random.next()));
    };
    match dtype {
        T::Float | T::Complex64 => each(4, |out, n| out.copy_from_slice(&fraction(n).0.to_le_bytes())),
        T::Double | T::Complex128 => each(8, |out, n| out.copy_from_slice(&f64::from(fraction(n).0).to_le_bytes())),
        T::Half => each(2, |out, n| out.copy_from_slice(&fraction(n).1.to_le_bytes())),
        T::Bfloat16 => each(2, |out, n| out.copy_from_slice(&fraction(n).0.to_le_bytes()[2..])),
        T::Float8E5m2 | T::Float8E4m3fn | T::Float8E4m3fnuz | T::Float8E4m3b11fnuz | T::Float8E5m2fnuz => {}
        _ => each(dtype.size(), |out, n| out[0] = (n & 1) as u8),
    }
}

fn fraction(number: u64) -> (f32, u16) {
    FRACTIONS[(number % FRACTIONS.len() as u64) as usize]
}

/// The generator "splitmix64".
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use tensorserve_protos::tensorflow::tensor_info::Encoding;
    use tensorserve_protos::tensorflow::tensor_shape_proto::Dim;
    use tensorserve_protos::tensorflow::{SignatureDef, TensorProto, TensorShapeProto};
    use tensorserve_runtimes::{RunOptions, Session, TensorHandle};
    use tensorserve_tensors::{Result, TensorData};

    use super::*;

    /// Resolves any name.
    struct AnyGraph(std::collections::BTreeMap<String, SignatureDef>);

    impl Session for AnyGraph {
        fn signature_defs(&self) -> &std::collections::BTreeMap<String, SignatureDef> {
            &self.0
        }

        fn resolve(&self, tensor_name: &str) -> Result<TensorHandle> {
            Ok(TensorHandle(tensor_name.len()))
        }

        fn run(&self, _: &[(TensorHandle, Tensor)], _: &[TensorHandle], _: &RunOptions) -> Result<Vec<Tensor>> {
            Ok(Vec::new())
        }
    }

    fn info(dtype: DataType, dims: Option<&[i64]>) -> TensorInfo {
        let dim = dims.unwrap_or_default().iter().map(|&size| Dim { size, ..Default::default() }).collect();
        TensorInfo {
            dtype: dtype as i32,
            encoding: Some(Encoding::Name("x:0".to_owned())),
            tensor_shape: Some(TensorShapeProto { dim, unknown_rank: dims.is_none() }),
        }
    }

    fn def(dtype: DataType, dims: Option<&[i64]>) -> SignatureDef {
        SignatureDef { inputs: [("x".to_owned(), info(dtype, dims))].into(), ..Default::default() }
    }

    fn make(def: &SignatureDef, rows: usize, values: Values) -> Option<Tensor> {
        let servable = Servable::new(std::sync::Arc::new(AnyGraph([("s".to_owned(), def.clone())].into())));
        inputs(&servable, servable.signature("s").unwrap(), rows, values).map(|feeds| feeds[0].1.clone())
    }

    #[test]
    fn open_dimensions_are_rows_and_ones() {
        let cases: [(Option<&[i64]>, &[i64]); 6] = [
            (Some(&[-1, 3]), &[5, 3]),
            (Some(&[-1, -1, 2]), &[5, 1, 2]),
            (Some(&[4, -1]), &[4, 1]),
            (Some(&[]), &[]),
            (Some(&[0, 7]), &[0, 7]),
            (None, &[5]),
        ];
        for (declared, made) in cases {
            for dtype in [DataType::Float, DataType::String] {
                assert_eq!(make(&def(dtype, declared), 5, Values::Zeros).unwrap().shape().dims(), made, "{declared:?}");
            }
        }
    }

    #[test]
    fn zeros_are_zero_and_strings_empty() {
        let tensor = make(&def(DataType::Int64, Some(&[-1])), 3, Values::Zeros).unwrap();
        assert_eq!(tensor.bytes(), [0; 24]);
        let tensor = make(&def(DataType::String, Some(&[-1])), 2, Values::Varied).unwrap();
        let TensorData::Strings(strings) = tensor.data() else { panic!("not strings") };
        assert_eq!((strings.get(0), strings.get(1)), (&b""[..], &b""[..]));
    }

    #[test]
    fn varied_values_differ_and_are_the_same_each_time() {
        let make = |dtype| make(&def(dtype, Some(&[-1])), 64, Values::Varied).unwrap();
        for &dtype in DataType::ALL.iter().filter(|dtype| dtype.size() > 0 && !dtype.name().starts_with("float8")) {
            let tensor = make(dtype);
            let distinct: std::collections::BTreeSet<_> = tensor.bytes().chunks(dtype.size()).collect();
            assert!(distinct.len() > 1, "{dtype}");
            assert_eq!(tensor.bytes(), make(dtype).bytes(), "{dtype}");
        }
        let whole = make(DataType::Int32);
        assert!(whole.bytes().chunks(4).all(|element| matches!(element, [0 | 1, 0, 0, 0])));
    }

    #[test]
    fn every_form_of_a_fraction_means_the_same() {
        for (value, half) in FRACTIONS {
            let (sign, exponent, mantissa) = (half >> 15, i32::from(half >> 10 & 31) - 15, f32::from(half & 1023));
            let meant = (1.0 + mantissa / 1024.0) * 2f32.powi(exponent) * if sign == 1 { -1.0 } else { 1.0 };
            assert_eq!(meant, value);
            assert_eq!(value.to_bits() & 0xffff, 0, "it is no bfloat16: {value}");
        }
    }

    #[test]
    fn a_default_is_taken_unless_it_is_a_batch() {
        let default = TensorProto { dtype: DataType::Float as i32, float_val: vec![7.0], ..Default::default() };
        for (dims, expected) in [(&[][..], 7f32), (&[-1], 0.0)] {
            let mut def = def(DataType::Float, Some(dims));
            def.defaults
                .insert("x".to_owned(), TensorProto { tensor_shape: Some(Default::default()), ..default.clone() });
            assert_eq!(make(&def, 1, Values::Zeros).unwrap().bytes(), expected.to_le_bytes());
        }
    }

    #[test]
    fn what_no_request_can_carry_is_not_made() {
        assert!(make(&def(DataType::Resource, Some(&[])), 1, Values::Zeros).is_none());
        assert!(make(&def(DataType::Float, Some(&[-1, 1 << 40])), 1, Values::Zeros).is_none());
        assert!(make(&def(DataType::Float, Some(&[-1, i64::MAX])), 2, Values::Zeros).is_none());
        assert!(make(&def(DataType::String, Some(&[1 << 30])), 1, Values::Zeros).is_none());
    }
}
