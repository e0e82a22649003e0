// SPDX-License-Identifier: Apache-2.0
//! Runs that took much longer than others of their signature: somebody should hear of them.

use std::sync::Arc;
use std::time::Duration;

use tensorserve_log::{Level, Limit, Line};
use tensorserve_runtimes::TensorHandle;

use crate::{ServableHandle, Signature};

/// Quicker runs are never slow.
const LEAST: Duration = Duration::from_millis(100);

/// A slow run takes more than this many times the usual time, in which it counts already.
const TIMES_USUAL: u32 = 4;

static LINES: Limit = Limit::every(Duration::from_secs(10));

/// Looks at a run that is over. `usual` is asked only if it was long; `None` where nothing is usual.
pub(crate) fn look(
    of: &ServableHandle,
    fetches: &[TensorHandle],
    took: Duration,
    usual: impl FnOnce() -> Option<Duration>,
) {
    if took < LEAST {
        return;
    }
    if let Some(usual) = usual().filter(|usual| took > TIMES_USUAL * *usual) {
        LINES.say(|| line(of, fetches, took, usual));
    }
}

fn line(of: &ServableHandle, fetches: &[TensorHandle], took: Duration, usual: Duration) -> Line {
    let gives = |signature: &&Arc<Signature>| {
        let is_output = |fetch: &TensorHandle| signature.outputs.iter().any(|output| output.handle() == Ok(*fetch));
        fetches.iter().all(is_output)
    };
    let signatures: Vec<&str> = of.servable().signatures().filter(gives).map(|signature| &*signature.name).collect();
    let (model, version, signatures, took) = (of.model(), of.version(), signatures.join(", "), took.as_millis());
    let text = format!(
        "A run of model {model} version {version}, signature {signatures}, took {took} ms, where {:.1} ms are usual.",
        usual.as_secs_f64() * 1e3
    );
    let line = Line::new(Level::Warning, text).with("model", model).with("version", version);
    line.with("signature", signatures).with("milliseconds", took)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tensorserve_protos::tensorflow::SignatureDef;
    use tensorserve_runtimes::{RunOptions, Session};
    use tensorserve_tensors::Tensor;

    use super::*;
    use crate::commissioning::fixture;
    use crate::{Result, Servable, SoleServable};

    struct Model(BTreeMap<String, SignatureDef>);

    impl Session for Model {
        fn signature_defs(&self) -> &BTreeMap<String, SignatureDef> {
            &self.0
        }

        fn resolve(&self, tensor_name: &str) -> Result<TensorHandle> {
            Ok(TensorHandle(usize::from(tensor_name == "y:0")))
        }

        fn run(&self, _: &[(TensorHandle, Tensor)], _: &[TensorHandle], _: &RunOptions) -> Result<Vec<Tensor>> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn a_line_says_which_model_and_signature_and_how_long() {
        let servable = Servable::new(Arc::new(Model(fixture::signature_defs())));
        let sole = SoleServable::new("m", Arc::new(servable));
        let (took, usual) = (Duration::from_millis(250), Duration::from_micros(1500));
        let line = line(sole.handle(), &[TensorHandle(1)], took, usual);
        assert!(line.text.contains("model m version"), "{}", line.text);
        assert!(
            line.text.ends_with("signature serving_default, took 250 ms, where 1.5 ms are usual."),
            "{}",
            line.text
        );
        assert!(line.fields.contains(&("model", "m".to_owned())), "{:?}", line.fields);
        assert!(line.fields.contains(&("signature", "serving_default".to_owned())), "{:?}", line.fields);
        assert!(line.fields.contains(&("milliseconds", "250".to_owned())), "{:?}", line.fields);
    }

    #[test]
    fn what_is_quick_is_not_compared() {
        let servable = Servable::new(Arc::new(Model(fixture::signature_defs())));
        let sole = SoleServable::new("m", Arc::new(servable));
        let quick = LEAST - Duration::from_nanos(1);
        look(sole.handle(), &[], quick, || panic!("a quick run asks for nothing"));
    }
}
