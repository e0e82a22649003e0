// SPDX-License-Identifier: Apache-2.0
//! How fast REST bodies are decoded and encoded, in MB of JSON text a second (best of several runs).
//!
//! `cargo run --release -p tensorserve-tensors --example json_speed`

use std::error::Error;
use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use tensorserve_tensors::json::{Format, InputSpec, decode_predict, encode_predict};
use tensorserve_tensors::{AlignedBuffer, DataType, Shape, Tensor};

const IMAGE: [usize; 3] = [224, 224, 3];
const RUNS: usize = 40;

/// xorshift64*: the same bodies in every run of the program.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Uniform in 0..1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// `{"instances": [image]}` with the elements that `element` prints, separated as Python's `json.dumps` does.
fn image_body(mut element: impl FnMut(&mut String)) -> String {
    let [rows, columns, channels] = IMAGE;
    let mut body = String::from("{\"instances\": [[");
    for row in 0..rows {
        body.push_str(if row == 0 { "[" } else { ", [" });
        for column in 0..columns {
            body.push_str(if column == 0 { "[" } else { ", [" });
            for channel in 0..channels {
                if channel > 0 {
                    body.push_str(", ");
                }
                element(&mut body);
            }
            body.push(']');
        }
        body.push(']');
    }
    body.push_str("]]}");
    body
}

/// Seconds of the fastest of several runs.
fn fastest<T>(mut run: impl FnMut() -> T) -> f64 {
    let once = |_| {
        let start = Instant::now();
        black_box(run());
        start.elapsed().as_secs_f64()
    };
    (0..RUNS).map(once).fold(f64::INFINITY, f64::min)
}

fn report(name: &str, bytes: usize, seconds: f64) {
    let rate = bytes as f64 / seconds / 1e6;
    println!("{name:<42} {bytes:>9} bytes {:>10.1} us {rate:>8.0} MB/s", seconds * 1e6);
}

fn decode(name: &str, dtype: DataType, element: impl FnMut(&mut String)) -> Result<(), Box<dyn Error>> {
    let body = image_body(element);
    let specs = [InputSpec { alias: "x".to_owned(), dtype }];
    decode_predict(body.as_bytes(), |_| Ok(&specs[..]))?;
    let seconds = fastest(|| decode_predict(black_box(body.as_bytes()), |_| Ok(&specs[..])));
    report(name, body.len(), seconds);
    Ok(())
}

fn encode(name: &str, shape: &[i64], values: &[f32]) -> Result<(), Box<dyn Error>> {
    let mut buffer = AlignedBuffer::zeroed(values.len() * 4);
    for (to, from) in buffer.as_mut().chunks_exact_mut(4).zip(values) {
        to.copy_from_slice(&from.to_le_bytes());
    }
    let shape = Shape::new(shape).ok_or("the shape is too large")?;
    let tensor = Tensor::plain(DataType::Float, shape, buffer);
    let bytes = encode_predict(Format::Row, &[("y", &tensor)], usize::MAX)?.len();
    let seconds = fastest(|| encode_predict(Format::Row, black_box(&[("y", &tensor)]), usize::MAX));
    report(name, bytes, seconds);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut random = Random(88_172_645_463_325_252);
    let print = |value: f64, body: &mut String| {
        // Writing to a string cannot fail.
        let _ = write!(body, "{value:?}");
    };
    decode("decode float from random doubles", DataType::Float, |body| print(random.unit(), body))?;
    decode("decode float from signed doubles", DataType::Float, |body| print(random.unit() * 6.0 - 3.0, body))?;
    let single = |random: &mut Random| f64::from(random.unit() as f32);
    decode("decode float from floats as doubles", DataType::Float, |body| print(single(&mut random), body))?;
    decode("decode double from random doubles", DataType::Double, |body| print(random.unit(), body))?;
    decode("decode float from pixels 0 to 255", DataType::Float, |body| print((random.next() % 256) as f64, body))?;
    let print_integer = |value: u64, body: &mut String| {
        let _ = write!(body, "{value}");
    };
    decode("decode uint8 from pixels 0 to 255", DataType::Uint8, |body| print_integer(random.next() % 256, body))?;
    let scores: Vec<f32> = (0..1000).map(|_| random.unit() as f32 / 500.0).collect();
    encode("encode float [1,1000], scores", &[1, 1000], &scores)?;
    let short: Vec<f32> = (0..1000).map(|i| i as f32 / 8.0).collect();
    encode("encode float [1,1000], short numbers", &[1, 1000], &short)?;
    encode("encode float [1000], one a row", &[1000], &scores)?;
    Ok(())
}
