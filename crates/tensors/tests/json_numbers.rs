// SPDX-License-Identifier: Apache-2.0
//! Numbers: read as the standard library reads them, and printed as C's `printf` prints them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use proptest::prelude::*;
use tensorserve_tensors::json::{Format, InputSpec, decode_predict, encode_predict};
use tensorserve_tensors::{AlignedBuffer, DataType, Shape, Tensor};

/// The bytes of the elements of `{"inputs": [texts]}`.
fn read(dtype: DataType, texts: &[String]) -> Vec<u8> {
    let body = format!(r#"{{"inputs": [{}]}}"#, texts.join(", "));
    let request = decode_predict(body.as_bytes(), |_| Ok([InputSpec { alias: "x".to_owned(), dtype }]));
    request.unwrap_or_else(|error| panic!("{error} {body}")).inputs[0].1.bytes().to_vec()
}

fn read_f32(texts: &[String]) -> Vec<u32> {
    read(DataType::Float, texts).chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn read_f64(texts: &[String]) -> Vec<u64> {
    read(DataType::Double, texts).chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().unwrap())).collect()
}

/// Compares both readers with the standard library, bit by bit. The integer `-0` is 0, so it is none of the texts.
fn assert_read_exactly(texts: &[String]) {
    let f32s: Vec<u32> = texts.iter().map(|text| text.parse::<f32>().unwrap().to_bits()).collect();
    let f64s: Vec<u64> = texts.iter().map(|text| text.parse::<f64>().unwrap().to_bits()).collect();
    assert_eq!(read_f32(texts), f32s, "{texts:?}");
    assert_eq!(read_f64(texts), f64s, "{texts:?}");
}

/// Number tokens of all lengths, with and without fraction and exponent.
fn number() -> impl Strategy<Value = String> {
    let digits = prop_oneof!["0", "[1-9][0-9]{0,4}", "[1-9][0-9]{0,30}"];
    let fraction = prop_oneof![Just(String::new()), "\\.[0-9]{1,4}", "\\.[0-9]{14,20}", "\\.0{1,20}[0-9]{1,20}"];
    let exponent =
        prop_oneof![4 => Just(String::new()), 2 => "[eE][+-]?[0-9]", 1 => "e[+-]?[0-9]{2}", 1 => "e-[0-9]{3}"];
    (prop::bool::ANY, digits, fraction, exponent)
        .prop_map(|(minus, digits, fraction, exponent)| {
            format!("{}{digits}{fraction}{exponent}", if minus { "-" } else { "" })
        })
        .prop_filter("the integer 0 has no sign", |text| text != "-0")
}

/// Decimals half-way between two floats, and next to there.
fn near_midpoint() -> impl Strategy<Value = String> {
    (0u32..0x7F00_0000, -1i64..=1, 0usize..3).prop_map(|(bits, step, digits)| {
        let middle = (f64::from(f32::from_bits(bits)) + f64::from(f32::from_bits(bits + 1))) / 2.0;
        let close = f64::from_bits(middle.to_bits().wrapping_add_signed(step));
        match digits {
            0 => format!("{close:e}"),
            1 => format!("{close:.16e}"),
            _ => format!("{close:.40e}"),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_token_reads_as_its_nearest_float(texts in prop::collection::vec(number(), 1..20)) {
        assert_read_exactly(&texts);
    }

    #[test]
    fn midpoints_read_exactly(texts in prop::collection::vec(near_midpoint(), 1..20)) {
        assert_read_exactly(&texts);
    }

    #[test]
    fn floats_read_back(values in prop::collection::vec(any::<f64>().prop_filter("finite", |v| v.is_finite()), 1..20)) {
        let texts: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
        assert_read_exactly(&texts);
        let texts: Vec<String> = values.iter().map(|value| format!("{:?}", (*value as f32).clamp(-1e38, 1e38))).collect();
        assert_read_exactly(&texts);
    }

    #[test]
    fn integers_read_exactly(values in prop::collection::vec(any::<i64>(), 1..20), positive in any::<u64>()) {
        let texts: Vec<String> = values.iter().map(i64::to_string).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        prop_assert_eq!(read(DataType::Int64, &texts), bytes);
        prop_assert_eq!(read(DataType::Uint64, &[positive.to_string()]), positive.to_le_bytes());
        let small: Vec<u8> = values.iter().map(|value| *value as u8).collect();
        let texts: Vec<String> = small.iter().map(u8::to_string).collect();
        prop_assert_eq!(read(DataType::Uint8, &texts), small);
    }

    #[test]
    fn floats_print_as_printf_does(values in prop::collection::vec(any::<u32>().prop_map(f32::from_bits), 1..50)) {
        let expected: Vec<String> = values.iter().map(|&value| expected_f32(value)).collect();
        prop_assert_eq!(print_f32(&values), expected);
    }

    #[test]
    fn common_floats_print_as_printf_does(values in prop::collection::vec(-300.0f32..300.0, 1..50), digits in 0i32..7) {
        let rounded: Vec<f32> = values.iter().map(|v| (v * 10f32.powi(digits)).round() / 10f32.powi(digits)).collect();
        for values in [values, rounded] {
            let expected: Vec<String> = values.iter().map(|&value| expected_f32(value)).collect();
            prop_assert_eq!(print_f32(&values), expected);
        }
    }

    #[test]
    fn doubles_print_as_printf_does(values in prop::collection::vec(any::<f64>(), 1..20), digits in 0i32..9) {
        let tame: Vec<f64> = values.iter().map(|v| v % 1000.0).filter(|v| v.is_finite()).collect();
        let rounded = tame.iter().map(|v| (v * 10f64.powi(digits)).round() / 10f64.powi(digits)).collect();
        for values in [values, tame, rounded] {
            let expected: Vec<String> = values.iter().map(|&value| expected_f64(value)).collect();
            prop_assert_eq!(print_f64(&values), expected);
        }
    }
}

#[test]
fn awkward_tokens_read_exactly() {
    let texts = [
        "0",
        "0.0",
        "-0.0",
        "0e5",
        "0.000e-400",
        "1",
        "-1",
        "10",
        "123456789012345678",
        "1234567890123456789",
        "12345678901234567890",
        "18446744073709551615",
        "18446744073709551616",
        "9007199254740993",
        "16777217",
        "0.1",
        "0.3",
        "1e22",
        "1e23",
        "1e-22",
        "1e-23",
        "8.5e-46",
        "7e-46",
        "1.1754943508222875e-38",
        "2.2250738585072011e-308",
        "5e-324",
        "2e-324",
        "3.4028235677973366e38",
        "3.4028235677973365e38",
        "1e38",
        "1e39",
        "1.7976931348623157e308",
        "0.00000000000000000000000000000000000001",
        "1E5",
        "1e+5",
        "0.1e-0",
        "1000000000000000000000000000000000000000000000000000000000000e-60",
        "4.35",
        "0.000123456789012345678901234",
        "100000000000000016777215",
        "100000000000000016777216",
        "6631236846766476e-316",
        "3.2378839133029012895883e-316",
    ];
    assert_read_exactly(&texts.map(str::to_owned));
    assert_eq!(read_f32(&["-0".to_owned()]), [0]);
}

#[test]
fn number_at_the_very_end_of_the_text() {
    for length in 1..40 {
        let digits = "1234567890".repeat(4)[..length].to_owned();
        assert_read_exactly(&[format!("0.{digits}"), digits]);
        let body = format!(r#"{{"inputs": 0.{}"#, "1".repeat(length));
        let spec = [InputSpec { alias: "x".to_owned(), dtype: DataType::Float }];
        assert!(decode_predict(body.as_bytes(), |_| Ok(&spec[..])).is_err());
    }
}

fn print(dtype: DataType, bytes: &[u8]) -> Vec<String> {
    let count = bytes.len() / dtype.size();
    let mut buffer = AlignedBuffer::zeroed(bytes.len());
    buffer.as_mut().copy_from_slice(bytes);
    let tensor = Tensor::plain(dtype, Shape::new(&[count as i64]).unwrap(), buffer);
    let text = String::from_utf8(encode_predict(Format::Row, &[("y", &tensor)], usize::MAX).unwrap()).unwrap();
    let Some(list) = text.strip_prefix("{\n    \"predictions\": [").and_then(|rest| rest.strip_suffix("\n    ]\n}"))
    else {
        return Vec::new();
    };
    list.split(", ").map(str::to_owned).collect()
}

fn print_f32(values: &[f32]) -> Vec<String> {
    print(DataType::Float, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

fn print_f64(values: &[f64]) -> Vec<String> {
    print(DataType::Double, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

/// C's `%.{precision}g` of a finite value other than zero, by way of the standard library's exact digits.
fn printf_g(value: f64, precision: usize) -> String {
    let scientific = format!("{value:.*e}", precision - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap();
    let exponent: i32 = exponent.parse().unwrap();
    let strip = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 || exponent >= precision as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", strip(mantissa), exponent.abs());
    }
    strip(&format!("{value:.*}", (precision as i32 - 1 - exponent) as usize))
}

fn expected<T: std::str::FromStr + PartialEq>(value: T, double: f64, long: usize) -> String {
    if double.is_nan() {
        return "NaN".to_owned();
    }
    if double.is_infinite() {
        return if double > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if double == 0.0 {
        return if double.is_sign_negative() { "-0.0" } else { "0.0" }.to_owned();
    }
    let mut text = printf_g(double, 6);
    if text.parse::<T>().ok() != Some(value) {
        text = printf_g(double, long);
    }
    if !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    text
}

fn expected_f32(value: f32) -> String {
    expected(value, f64::from(value), 9)
}

fn expected_f64(value: f64) -> String {
    expected(value, value, 17)
}

/// Texts made by C's `printf`.
#[test]
fn floats_print_as_recorded() {
    let cases = [
        (0x0000_0001, "1.4013e-45"),
        (0x007f_ffff, "1.17549421e-38"),
        (0x0080_0000, "1.17549435e-38"),
        (0x7f7f_ffff, "3.40282347e+38"),
        (0x3eaa_aaab, "0.333333343"),
        (0x3dcc_cccd, "0.1"),
        (0x4b80_0000, "16777216.0"),
        (0x4b00_0001, "8388609.0"),
        (0x4ceb_afe5, "123567912.0"),
        (0x38d1_b717, "0.0001"),
        (0x37fb_a882, "3e-05"),
        (0x477f_e000, "65504.0"),
        (0x5f00_0000, "9.22337204e+18"),
        (0x0da2_4260, "1e-30"),
        (0x33d6_bf95, "1e-07"),
        (0x3f7f_ffff, "0.99999994"),
        (0x4974_2400, "1e+06"),
        (0x7fc0_0000, "NaN"),
        (0xff80_0000, "-Infinity"),
        (0x8000_0000, "-0.0"),
    ];
    for (bits, expected) in cases {
        assert_eq!(print_f32(&[f32::from_bits(bits)]), [expected]);
    }
    let written: [(f32, &str); 8] = [
        // Half-way between nine digits: to the even one.
        (9_876_537.0 / 8.0, "1234567.12"),
        (9_876_539.0 / 8.0, "1234567.38"),
        (9_000_000.0, "9e+06"),
        (999_999.0, "999999.0"),
        (100_000.0, "100000.0"),
        (123_456_789.0, "123456792.0"),
        (-2.5, "-2.5"),
        (1.0, "1.0"),
    ];
    for (value, expected) in written {
        assert_eq!(print_f32(&[value]), [expected]);
    }
    assert_eq!(print_f64(&[0.1, 1.0 / 3.0, 1e21, 5e-324]), ["0.1", "0.33333333333333331", "1e+21", "4.94066e-324"]);
    let halves = [9_007_199_254_740_985.0 / 8.0, 9_007_199_254_740_995.0 / 2.0];
    assert_eq!(print_f64(&halves), ["1125899906842623.1", "4503599627370498.0"]);
}

/// Every power of two, and the floats and short decimals around every power of ten.
#[test]
fn floats_at_the_edges_print_as_printf_does() {
    let powers = (1..255u32).map(|exponent| f32::from_bits(exponent << 23));
    let decimals = (-44..39).flat_map(|exponent| {
        let power: f32 = format!("1e{exponent}").parse().unwrap();
        (0..5).map(move |i| f32::from_bits(power.to_bits().saturating_add(i).saturating_sub(2)))
    });
    let values: Vec<f32> = powers.chain(decimals).collect();
    let expected: Vec<String> = values.iter().map(|&value| expected_f32(value)).collect();
    assert_eq!(print_f32(&values), expected);
}
