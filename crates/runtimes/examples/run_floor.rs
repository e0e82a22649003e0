// SPDX-License-Identifier: Apache-2.0
//! The time of a bare run of a model, in the calling thread, with nothing of a server around it: the floor that no server
//! can be below.
//!
//! `cargo run --release -p tensorserve-runtimes --example run_floor -- LIBRARY MODEL SIGNATURE ITERATIONS [SHAPE]`
//!
//! Feeds every input of the signature with zeros: of shape SHAPE (`8,784`) if given, else of its declared shape with 1
//! for open dimensions. Prints one line of JSON.

use std::env;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use tensorserve_protos::tensorflow::TensorInfo;
use tensorserve_protos::tensorflow::tensor_info::Encoding;
use tensorserve_runtimes::tensorflow::TensorFlow;
use tensorserve_runtimes::{InterOp, IntraOp, LoadRequest, RunOptions, Runtime, Session, TensorHandle};
use tensorserve_tensors::{AlignedBuffer, DataType, Shape, Tensor};

const USAGE: &str = "usage: run_floor LIBRARY MODEL SIGNATURE ITERATIONS [SHAPE, such as 8,784]";
const OPTIONS: RunOptions = RunOptions { timeout: None, inter_op: InterOp::Caller };

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [library, model, signature, iterations, shape @ ..] = &arguments[..] else { return Err(USAGE.into()) };
    let shape = shape.first().map(|text| parse_shape(text)).transpose()?;
    let session = TensorFlow::open(Path::new(library))?.load(&LoadRequest {
        path: model.into(),
        tags: vec!["serve".to_owned()],
        config_proto: Vec::new(),
        niceness: 0,
        intra_op: IntraOp::SharedPool,
    })?;
    let signature = session.signature_defs().get(signature).ok_or("the model has no such signature")?;
    let feeds = signature.inputs.values().map(|info| feed(&*session, info, shape.as_ref()));
    let feeds = feeds.collect::<Result<Vec<_>, _>>()?;
    let fetches = signature.outputs.values().map(|info| handle(&*session, info)).collect::<Result<Vec<_>, _>>()?;
    let micros = measure(&*session, &feeds, &fetches, iterations.parse()?)?;
    println!("{}", report(&micros)?);
    Ok(())
}

fn parse_shape(text: &str) -> Result<Shape, Box<dyn Error>> {
    let dims = text.split(',').map(str::parse).collect::<Result<Vec<i64>, _>>()?;
    Shape::new(&dims).ok_or_else(|| format!("{text} is not a shape").into())
}

fn handle(session: &dyn Session, info: &TensorInfo) -> Result<TensorHandle, Box<dyn Error>> {
    match &info.encoding {
        Some(Encoding::Name(name)) => Ok(session.resolve(name)?),
        _ => Err("only dense tensors can be measured".into()),
    }
}

fn feed(
    session: &dyn Session,
    info: &TensorInfo,
    shape: Option<&Shape>,
) -> Result<(TensorHandle, Tensor), Box<dyn Error>> {
    let dtype =
        DataType::from_i32(info.dtype).filter(|dtype| dtype.size() > 0).ok_or("only numbers can be measured")?;
    let declared = info.tensor_shape.iter().flat_map(|shape| &shape.dim).map(|dim| dim.size.max(1));
    let declared = Shape::new(&declared.collect::<Vec<_>>()).ok_or("the declared shape is too large")?;
    let shape = shape.cloned().unwrap_or(declared);
    let buffer = AlignedBuffer::zeroed(shape.num_elements() * dtype.size());
    Ok((handle(session, info)?, Tensor::plain(dtype, shape, buffer)))
}

/// The time of each run in microseconds, after a tenth as many that are not counted.
fn measure(
    session: &dyn Session,
    feeds: &[(TensorHandle, Tensor)],
    fetches: &[TensorHandle],
    iterations: usize,
) -> Result<Vec<f64>, Box<dyn Error>> {
    for _ in 0..iterations.div_ceil(10) {
        session.run(feeds, fetches, &OPTIONS)?;
    }
    let mut micros = Vec::with_capacity(iterations);
    for _ in 0..iterations {
        let start = Instant::now();
        let results = session.run(feeds, fetches, &OPTIONS)?;
        drop(std::hint::black_box(results));
        micros.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(micros)
}

fn report(micros: &[f64]) -> Result<String, Box<dyn Error>> {
    let mut sorted = micros.to_vec();
    sorted.sort_by(f64::total_cmp);
    let quantile = |q: usize| sorted.get(sorted.len().saturating_sub(1) * q / 100).copied().ok_or("no iterations");
    let mean = micros.iter().sum::<f64>() / micros.len() as f64;
    Ok(format!(
        r#"{{"us_per_run": {mean:.3}, "p50_us": {:.3}, "p99_us": {:.3}, "rss_anon_mb": {:.1}}}"#,
        quantile(50)?,
        quantile(99)?,
        rss_anon_mb()?
    ))
}

/// Memory of this process that is backed by no file, in megabytes.
fn rss_anon_mb() -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("the system does not tell RssAnon")?;
    let kib: f64 = line.split_whitespace().next().ok_or("no number")?.parse()?;
    Ok(kib * 1024.0 / 1e6)
}
