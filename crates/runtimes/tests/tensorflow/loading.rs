// SPDX-License-Identifier: Apache-2.0
//! What a load needs, finds and refuses.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use tensorserve_protos::tensorflow::tensor_info::Encoding;
use tensorserve_runtimes::{IntraOp, LoadRequest, RunOptions, Runtime, Session};
use tensorserve_tensors::{Code, ServingError};

use crate::fixture::{
    ModelCopy, float_values, floats, int64_values, load, load_path, models, run_one, strings, tensorflow,
};

fn refusal(path: &Path, tags: &[&str]) -> ServingError {
    load_path(path, tags).err().unwrap_or_else(|| panic!("{} was loaded", path.display()))
}

pub(crate) fn signatures_come_from_the_meta_graph() {
    let session = load("half_plus_two");
    let signature = &session.signature_defs()["serving_default"];
    assert_eq!(signature.method_name, "tensorflow/serving/predict");
    assert_eq!(signature.inputs.keys().collect::<Vec<_>>(), ["x"]);
    assert_eq!(signature.inputs["x"].encoding, Some(Encoding::Name("serving_default_x:0".to_owned())));
    assert_eq!(signature.inputs["x"].dtype, 1);
    assert_eq!(signature.outputs.keys().collect::<Vec<_>>(), ["y"]);
    assert!(session.signature_defs().contains_key("__saved_model_init_op"));
    assert!(session.may_batch(signature));
}

pub(crate) fn tags_choose_the_meta_graph() {
    for (tags, expected) in [(&["serve"][..], 11.0), (&["serve", "gpu"], 12.0), (&["gpu", "serve"], 12.0)] {
        let session = load_path(&models().join("several_tags"), tags).expect("a meta graph");
        let y = run_one(&*session, "serving_default", &[("x", floats(&[1], &[10.0]))], "y");
        assert_eq!(float_values(&y), [expected], "{tags:?}");
    }
}

pub(crate) fn unknown_tags_are_not_found() {
    for tags in [&["serve", "tpu"][..], &["gpu"], &[""], &[]] {
        let error = refusal(&models().join("several_tags"), tags);
        assert_eq!(error.code, Code::NotFound, "{tags:?}");
        assert!(error.message.starts_with("Could not find meta graph def matching supplied tags: { "), "{error}");
        assert!(tags.iter().all(|tag| error.message.contains(&format!("{tag} "))), "{tags:?}: {error}");
    }
}

pub(crate) fn a_missing_path_is_not_found() {
    let error = refusal(Path::new("/nowhere/1"), &["serve"]);
    assert_eq!(error.code, Code::NotFound);
    assert!(error.message.contains("/nowhere/1"), "{error}");
}

pub(crate) fn a_damaged_model_is_refused() {
    let model = ModelCopy::of("half_plus_two");
    let file = model.0.join("saved_model.pb");
    let bytes = fs::read(&file).expect("the model");

    fs::write(&file, &bytes[..bytes.len() / 2]).expect("a model cut in half");
    let error = refusal(&model.0, &["serve"]);
    assert!(!error.message.is_empty(), "{error}");

    fs::write(&file, vec![0xff; bytes.len()]).expect("a model that is none");
    let error = refusal(&model.0, &["serve"]);
    assert_eq!(error.code, Code::DataLoss);
    assert!(error.message.contains("saved_model.pb as binary proto"), "{error}");
}

pub(crate) fn missing_variable_files_are_not_found() {
    let model = ModelCopy::of("half_plus_two");
    fs::remove_file(model.0.join("variables/variables.data-00000-of-00001")).expect("a variables file");
    let error = refusal(&model.0, &["serve"]);
    assert_eq!(error.code, Code::NotFound);
    assert!(error.message.contains("variables.data-00000-of-00001"), "{error}");
}

fn load_for(intra_op: IntraOp, config_proto: &[u8]) -> Arc<dyn Session> {
    let request = LoadRequest {
        path: models().join("half_plus_two"),
        tags: vec!["serve".to_owned()],
        config_proto: config_proto.to_vec(),
        niceness: 0,
        intra_op,
    };
    tensorflow().load(&request).expect("a model")
}

pub(crate) fn small_models_compute_where_they_are_asked_to_also_beside_each_other() {
    thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || {
                let wanted = if number % 2 == 0 { IntraOp::Caller } else { IntraOp::SharedPool };
                for _ in 0..5 {
                    let session = load_for(wanted, &[]);
                    assert_eq!(session.intra_op(), wanted);
                    let y = run_one(&*session, "serving_default", &[("x", floats(&[1], &[4.0]))], "y");
                    assert_eq!(float_values(&y), [4.0]);
                }
            });
        }
    });
}

pub(crate) fn a_chosen_number_of_threads_stays() {
    // intra_op_parallelism_threads = 2
    assert_eq!(load_for(IntraOp::Caller, &[0x10, 2]).intra_op(), IntraOp::SharedPool);
}

fn load_with_config(config_proto: &[u8]) -> Result<(), ServingError> {
    let request = LoadRequest {
        path: models().join("half_plus_two"),
        tags: vec!["serve".to_owned()],
        config_proto: config_proto.to_vec(),
        niceness: 0,
        intra_op: IntraOp::SharedPool,
    };
    tensorflow().load(&request).map(|_| ())
}

pub(crate) fn a_damaged_config_is_an_invalid_argument() {
    let error = load_with_config(&[0xff, 0xff]).expect_err("not a ConfigProto");
    assert_eq!((error.code, error.message.as_str()), (Code::InvalidArgument, "Unparseable ConfigProto"));
}

pub(crate) fn a_session_config_is_accepted() {
    // intra_op_parallelism_threads = 1, inter_op_parallelism_threads = 1
    load_with_config(&[0x10, 1, 0x28, 1]).expect("a ConfigProto");
}

pub(crate) fn a_zero_byte_in_a_path_is_refused() {
    assert_eq!(refusal(Path::new("a\0b"), &["serve"]).code, Code::InvalidArgument);
    assert_eq!(refusal(&models().join("half_plus_two"), &["a\0b"]).code, Code::InvalidArgument);
}

pub(crate) fn assets_tables_and_main_op_are_initialized() {
    let session = load("tf1_assets");
    let words = strings(&[4], &[b"blue", b"red", b"pink", b"green"]);
    let index = run_one(&*session, "lookup", &[("words", words)], "index");
    assert_eq!(int64_values(&index), [2, 0, -1, 1]);
    let scaled = run_one(&*session, "scale", &[("x", floats(&[2], &[1.0, 2.0]))], "y");
    assert_eq!(float_values(&scaled), [3.0, 6.0]);
}

pub(crate) fn handles_are_stable_and_checked() {
    let session = load("several_outputs");
    let handle = session.resolve("top:1").expect("a tensor");
    assert_eq!(session.resolve("top:1"), Ok(handle));
    let (short, long) = (session.resolve("top").expect("output 0"), session.resolve("top:0").expect("output 0"));
    let x = session.resolve("x").expect("a tensor");
    let feeds = [(x, floats(&[2], &[1.0, 2.0]))];
    let results = session.run(&feeds, &[short, long], &RunOptions::default()).expect("two results");
    assert_eq!((float_values(&results[0]), float_values(&results[1])), (vec![2.0, 1.0], vec![2.0, 1.0]));
    for name in ["absent:0", "absent", "top:x", "", ":0", "a\0b:0"] {
        let error = session.resolve(name).expect_err(name);
        assert_eq!(error.code, Code::NotFound, "{name}");
        assert!(error.message.contains(name), "{error}");
    }
    for name in ["top:2", "top:-1"] {
        let error = session.resolve(name).expect_err(name);
        assert_eq!(error.code, Code::OutOfRange, "{name}");
        assert!(
            error.message.starts_with("Node 'top' (type: 'TopKV2', num of outputs: 2) does not have output"),
            "{error}"
        );
    }
}
