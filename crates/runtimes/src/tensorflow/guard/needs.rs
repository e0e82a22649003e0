// SPDX-License-Identifier: Apache-2.0
//! What a kernel needs of its inputs so that it does not end the process, and whether some inputs have it.

use std::fmt;

use tensorserve_protos::tensorflow::NodeDef;
use tensorserve_protos::tensorflow::attr_value;

use super::values::Value;

/// One thing that a kernel needs. Inputs are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// An input has this rank, and no dimension that a 32-bit number cannot hold.
    Rank(usize, usize),
    /// An input is one element.
    One(usize),
    /// An input is a list of this length of dimensions: whole numbers from 0 on.
    Sizes(usize, usize),
    /// The same, or -1 first for as many as there are of another input; of 4 dimensions the middle two are enough.
    OutputSizes(usize, usize),
    /// The same, of dimensions above 0.
    Windows(usize, usize),
    /// An input is a list of dimensions, as many as there are.
    Volume(usize),
    /// Two inputs have the same rank.
    SameRank(usize, usize),
    /// The first input is a list of steps from 0 on, each at least the one before, up to a dimension of the second; there is
    /// one more of them than the third has in that dimension.
    Steps(usize, usize, usize, usize),
    /// Two inputs agree in a dimension, or in a size that one of them lists.
    SameSize(usize, usize, usize),
    /// Each element of the first input is the place of an element of the second.
    Index(usize, usize),
    /// The last input parts the rows of this one: a row's number for each, or where each row begins and the last one ends.
    Parts(usize),
    /// No element of an input is below this.
    AtLeast(usize, i64),
    /// No element of an input is above this.
    AtMost(usize, i64),
    /// The one element of the first input is not above dimension 0 of the second.
    Within(usize, usize),
    /// No element of an input is infinite or not a number, nor above 1e9.
    Finite(usize),
    /// The inputs after the first two, as many as the attributes `Nsparse` and `Ndense` say, are one element each.
    Keys,
    /// The last third of the inputs lists shapes. Joined in the dimension that the attribute `concat_dim` says, they are a shape
    /// that a tensor can have.
    Joined,
    /// TensorFlow's own shape function accepts the inputs; it sees the values of short lists of whole numbers.
    Shapes,
}

impl Need {
    /// Whether it is about all elements of an input, of this many.
    pub(super) fn looks_at(self, input: usize, inputs: usize) -> bool {
        use Need::{AtLeast, AtMost, Finite, Index, Joined, Parts, Steps, Within};
        match self {
            Joined => input >= inputs - inputs / 3,
            AtLeast(at, _) | AtMost(at, _) | Finite(at) | Steps(at, ..) | Within(at, _) | Index(at, _) => at == input,
            Parts(of) => input > of,
            _ => false,
        }
    }
}

/// The most elements that an output may have; beyond, sizes overflow in kernels.
const MOST_ELEMENTS: i128 = 1 << 40;

/// The most dimensions that a tensor has.
const MOST_DIMS: usize = 254;

/// Why the kernel of a node would not survive inputs. `None` if nothing is wrong; [`Need::Shapes`] is for others to see.
pub(super) fn lacks(need: Need, inputs: &[Value], node: Option<&NodeDef>) -> Option<String> {
    let input = |at: usize| inputs.get(at);
    match need {
        Need::Rank(at, rank) => wrong_rank(at, input(at)?, rank),
        Need::One(at) => (input(at)?.elements() != 1).then(|| says(at, input(at), "must be a single element")),
        Need::Sizes(at, len) => wrong_sizes(at, input(at)?, len, 0),
        Need::OutputSizes(at, len) => {
            let mut value = input(at)?.clone();
            let given = value.integers().len();
            if value.integers().first() == Some(&-1) && given == len {
                value.set_first_to_0();
            }
            wrong_sizes(at, &value, if given == 2 && len == 4 { 2 } else { len }, 0).and(wrong_sizes(
                at,
                input(at)?,
                len,
                0,
            ))
        }
        Need::Windows(at, len) => wrong_sizes(at, input(at)?, len, 1),
        Need::Volume(at) => wrong_sizes(at, input(at)?, input(at)?.integers().len(), 0),
        Need::SameRank(at, other) => {
            let rank = input(other)?.dims.len();
            (input(at)?.dims.len() != rank)
                .then(|| says(at, input(at), &format!("must be {rank}-dimensional, as input {other}")))
        }
        Need::Steps(at, of, output, dim) => {
            let size = |at: usize| input(at).map_or(0, |value| size_of(value, dim));
            let steps = input(at)?.integers();
            let is_right = steps.first().is_some_and(|&first| first >= 0)
                && steps.is_sorted()
                && steps.last().is_some_and(|&last| last <= size(of))
                && steps.len() as i64 == size(output) + 1;
            (!is_right)
                .then(|| says(at, input(at), &format!("must be steps up to {} for {} outputs", size(of), size(output))))
        }
        Need::SameSize(at, other, dim) => {
            let size = size_of(input(other)?, dim);
            let must = || format!("must have {size} in dimension {dim}, as input {other}");
            (size_of(input(at)?, dim) != size).then(|| says(at, input(at), &must()))
        }
        Need::Index(at, of) => {
            let places = 0..input(of)?.elements();
            let is_outside = input(at)?.integers().iter().any(|value| !places.contains(value));
            is_outside
                .then(|| says(at, input(at), &format!("must be places of the {} elements of input {of}", places.end)))
        }
        Need::Parts(at) => {
            let (rows, last) = (input(at)?.dims.first().copied().unwrap_or(0), inputs.len().checked_sub(1)?);
            let parts = input(last)?.integers();
            let ends = parts.first() == Some(&0) && parts.last() == Some(&rows);
            let is_right = parts.is_sorted() && (ends || parts.len() as i64 == rows);
            (!is_right).then(|| says(last, input(last), &format!("must part {rows} values")))
        }
        Need::AtLeast(at, least) => {
            let low = input(at)?.integers().iter().any(|&value| value < least);
            low.then(|| says(at, input(at), &format!("must be at least {least}")))
        }
        Need::AtMost(at, most) => {
            let high = input(at)?.integers().iter().any(|&value| value > most);
            high.then(|| says(at, input(at), &format!("must be at most {most}")))
        }
        Need::Within(at, of) => {
            let (value, limit) = (input(at)?.integers(), input(of)?.dims.first().copied().unwrap_or(0));
            let above = value.iter().any(|&value| value > limit);
            above.then(|| says(at, input(at), &format!("must be at most {limit}, dimension 0 of input {of}")))
        }
        Need::Finite(at) => {
            let odd = input(at)?.has_float(|value| !value.is_finite() || value.abs() > 1e9);
            odd.then(|| says(at, input(at), "must be finite numbers, at most 1e9"))
        }
        Need::Keys => {
            let count = number(node, "Nsparse")?.saturating_add(number(node, "Ndense")?);
            let mut keys = (2..inputs.len()).take(usize::try_from(count).ok()?);
            keys.find_map(|at| lacks(Need::One(at), inputs, node))
        }
        Need::Joined => {
            let first = inputs.len() - inputs.len() / 3;
            let (shapes, dim) = (inputs.get(first..)?, number(node, "concat_dim")?);
            (!can_be_joined(shapes, dim))
                .then(|| says(first, input(first), "must be a shape that can be joined with the others"))
        }
        Need::Shapes => None,
    }
}

/// A whole number among the attributes of a node.
fn number(node: Option<&NodeDef>, name: &str) -> Option<i64> {
    match node?.attr.get(name)?.value.as_ref()? {
        attr_value::Value::I(number) => Some(*number),
        _ => None,
    }
}

/// Whether listed shapes make one that a tensor can have: the kernel looks at each of them, but not at the whole. Where they are no
/// shapes of the same rank it says so.
fn can_be_joined(shapes: &[Value], dim: i64) -> bool {
    let Some(mut joined) = shapes.first().map(Value::integers) else { return true };
    let dim = if dim < 0 { dim + joined.len() as i64 } else { dim };
    let are_alike = shapes.iter().all(|shape| shape.dims.len() == 1 && shape.integers().len() == joined.len());
    let Some(at) = usize::try_from(dim).ok().filter(|&at| are_alike && at < joined.len()) else { return true };
    let sum = shapes.iter().try_fold(0i64, |sum, shape| sum.checked_add(shape.integers()[at]));
    let Some(sum) = sum else { return false };
    joined[at] = sum;
    joined.len() <= MOST_DIMS && joined.iter().try_fold(1i64, |all, &size| all.checked_mul(size)).is_some()
}

/// A dimension of an input, or the size in a list of dimensions.
fn size_of(value: &Value, dim: usize) -> i64 {
    if value.is_integer() && value.dims.len() == 1 {
        return value.integers().get(dim).copied().unwrap_or(0);
    }
    value.dims.get(dim).copied().unwrap_or(0)
}

fn wrong_rank(at: usize, value: &Value, rank: usize) -> Option<String> {
    if value.dims.len() != rank {
        return Some(says(at, Some(value), &format!("must be {rank}-dimensional")));
    }
    let is_large = |dim: &i64| i32::try_from(*dim).is_err();
    value.dims.iter().any(is_large).then(|| says(at, Some(value), "must have dimensions below 2147483648"))
}

fn wrong_sizes(at: usize, value: &Value, len: usize, least: i64) -> Option<String> {
    let sizes = value.integers();
    let is_right = value.dims.len() == 1
        && sizes.len() == len
        && value.elements() == len as i64
        && sizes.iter().all(|&size| size >= least && i32::try_from(size).is_ok())
        && sizes
            .iter()
            .try_fold(1i128, |all, &size| all.checked_mul(size.max(1).into()))
            .is_some_and(|all| all <= MOST_ELEMENTS);
    (!is_right).then(|| says(at, Some(value), &format!("must be a list of {len} sizes from {least} on")))
}

fn says(at: usize, value: Option<&Value>, must: &str) -> String {
    struct Shown<'a>(&'a Value);
    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let dims: Vec<String> = self.0.dims.iter().map(ToString::to_string).collect();
            write!(f, "[{}]", dims.join(","))?;
            let values = self.0.integers();
            if values.is_empty() || values.len() > 8 { Ok(()) } else { write!(f, " with the values {values:?}") }
        }
    }
    let given = value.map(|value| Shown(value).to_string()).unwrap_or_default();
    format!("input {at} {must}, but has the shape {given}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shaped(dims: &[i64]) -> Value {
        Value { dims: dims.to_vec(), ..Value::default() }
    }

    fn integers(values: &[i64]) -> Value {
        Value::of_integers(&[values.len() as i64], values)
    }

    #[test]
    fn ranks_and_dimensions_are_told() {
        assert_eq!(lacks(Need::Rank(0, 4), &[shaped(&[1, 2, 3, 4])], None), None);
        assert_eq!(lacks(Need::Rank(0, 4), &[shaped(&[0, 2, 3, 4])], None), None);
        let text = lacks(Need::Rank(0, 4), &[shaped(&[8, 8, 3])], None).unwrap();
        assert_eq!(text, "input 0 must be 4-dimensional, but has the shape [8,8,3]");
        assert!(lacks(Need::Rank(0, 2), &[shaped(&[0, 1 << 31])], None).is_some());
    }

    #[test]
    fn sizes_are_counts_that_memory_can_hold() {
        for (sizes, is_right) in [
            (&[1, 5, 5, 2][..], true),
            (&[0, 5, 5, 2], true),
            (&[1, -1, -1, 1], false),
            (&[1, 5, 5], false),
            (&[1 << 30, 1 << 30, 1, 1], false),
        ] {
            assert_eq!(lacks(Need::Sizes(0, 4), &[integers(sizes)], None).is_none(), is_right, "{sizes:?}");
        }
        assert!(lacks(Need::Windows(0, 4), &[integers(&[1, 0, 2, 1])], None).is_some());
        for (sizes, len, is_right) in [
            (&[1, 5, 5, 2][..], 4, true),
            (&[-1, 5, 5, 2], 4, true),
            (&[5, 5], 4, true),
            (&[-1, 5], 4, false),
            (&[-1, -1, 5, 2], 4, false),
            (&[-2, 5, 5, 2], 4, false),
            (&[-1, 4, 4, 4, 2], 5, true),
            (&[4, 4], 5, false),
            (&[-1, 1 << 30, 1 << 30, 1], 4, false),
        ] {
            assert_eq!(lacks(Need::OutputSizes(0, len), &[integers(sizes)], None).is_none(), is_right, "{sizes:?}");
        }
    }

    fn with(numbers: &[(&str, i64)]) -> NodeDef {
        use tensorserve_protos::tensorflow::AttrValue;
        let attribute =
            |&(name, number): &(&str, i64)| (name.to_owned(), AttrValue { value: Some(attr_value::Value::I(number)) });
        NodeDef { attr: numbers.iter().map(attribute).collect(), ..NodeDef::default() }
    }

    #[test]
    fn keys_are_single_elements_and_what_follows_them_is_not_looked_at() {
        let node = with(&[("Nsparse", 1), ("Ndense", 1)]);
        let lacks = |keys: [&[i64]; 2]| {
            let inputs = [&[5][..], &[0], keys[0], keys[1], &[7]].map(shaped);
            lacks(Need::Keys, &inputs, Some(&node))
        };
        assert_eq!(lacks([&[], &[1, 1]]), None);
        assert_eq!(lacks([&[], &[2]]).unwrap(), "input 3 must be a single element, but has the shape [2]");
        assert!(lacks([&[0], &[]]).is_some());
    }

    #[test]
    fn joined_shapes_are_counted_as_a_whole() {
        const MOST: i64 = i64::MAX;
        let cases: [(i64, [&[i64]; 2], bool); 11] = [
            (0, [&[2, 3], &[4, 3]], true),
            (0, [&[MOST - 5, 1], &[5, 1]], true),
            (0, [&[MOST, 1], &[1, 1]], false),
            (0, [&[1, MOST], &[1, MOST]], false),
            (1, [&[0, MOST], &[0, MOST]], false),
            (-1, [&[1, 1 << 62], &[1, (1 << 62) - 1]], true),
            (-1, [&[1, 1 << 62], &[1, 1 << 62]], false),
            (0, [&[MOST], &[2]], false),
            // The kernel says so.
            (0, [&[MOST, 1], &[1]], true),
            (5, [&[MOST, 1], &[1, 1]], true),
            (0, [&[], &[]], true),
        ];
        for (dim, shapes, is_right) in cases {
            let node = with(&[("concat_dim", dim)]);
            let inputs = [
                shaped(&[1, 2]),
                shaped(&[1, 2]),
                shaped(&[1]),
                shaped(&[1]),
                integers(shapes[0]),
                integers(shapes[1]),
            ];
            assert_eq!(lacks(Need::Joined, &inputs, Some(&node)).is_none(), is_right, "{dim} {shapes:?}");
        }
    }

    #[test]
    fn values_are_bounded() {
        assert!(lacks(Need::AtLeast(0, 0), &[integers(&[-1])], None).is_some());
        assert!(lacks(Need::AtLeast(0, 0), &[integers(&[0, 7])], None).is_none());
        assert!(lacks(Need::Within(0, 1), &[integers(&[3]), shaped(&[2, 1])], None).is_some());
        assert!(lacks(Need::Within(0, 1), &[integers(&[2]), shaped(&[2, 1])], None).is_none());
        assert!(lacks(Need::One(0), &[integers(&[1, 2])], None).is_some());
        assert!(lacks(Need::Finite(0), &[Value::of_floats(&[1], &[f32::NAN])], None).is_some());
        assert!(lacks(Need::Finite(0), &[Value::of_floats(&[1], &[0.5])], None).is_none());
    }
}
