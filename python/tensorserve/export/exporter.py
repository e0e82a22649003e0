# SPDX-License-Identifier: Apache-2.0
"""Exports a model: traces its signatures, writes them aside, compares the answers, publishes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tensorserve.errors import Code, ServingError
from tensorserve.export import check, saving, warmup_requests
from tensorserve.export import samples as made_up_inputs
from tensorserve.export.computation import Model
from tensorserve.export.preprocessing import ImageBytes, Preprocessing
from tensorserve.export.publication import Publication
from tensorserve.export.quantization import Quantization, pruned_weights, quantized
from tensorserve.export.result import ExportedVersion
from tensorserve.export.signatures import Built, Predict, Signature
from tensorserve.inspect import inspect_model

_DEFAULT = "serving_default"
_Inputs = Mapping[str, Mapping[str, Any]]


# Keyword arguments rather than a struct of options: this is what a user types at the end of a notebook.
def export(
    model: Any,
    base_path: str | os.PathLike[str],
    inputs: Mapping[str, Any] | Sequence[str] | None = None,
    outputs: Mapping[str, str] | Sequence[str] | None = None,
    *,
    signatures: Mapping[str, Signature] | None = None,
    preprocess: Mapping[str, Preprocessing] | None = None,
    samples: Mapping[str, Any] | None = None,
    quantize: str | None = None,
    version: int | None = None,
    compare: bool = True,
    warmup: bool = True,
    tolerance: float = check.TOLERANCE,
) -> ExportedVersion:
    """Writes a model as the next version under a base path, where servers find it at once and whole.

    Args:
        model: A Keras model (Keras 3 or tf-keras), a `tf.Module`, a `tf.function`, a function of tensors, or a path: a
            `.keras` or `.h5` file, or a SavedModel, whose signatures are replaced.
        base_path: Folder of the versions of the model; its name is the model's.
        inputs: What requests call the inputs: the model's own name by alias, or aliases in the model's order. None
            keeps the model's names. For a model that does not know its inputs, `tf.TensorSpec` by alias.
        outputs: The same for the outputs; those that are left out are not served.
        signatures: Further signatures by name: `Predict`, `Classify`, `Regress`, `FromReceiver`. One that is called
            `serving_default` takes the place of that by `inputs` and `outputs`.
        preprocess: What happens to an input in the graph first, by alias: `ImageBytes`, `WordPieces`.
        samples: Inputs by alias, as arrays with several rows, to check the answers with and to warm up by; made up if
            there are none.
        quantize: `float16` or `int8` to store weights in fewer bits.
        version: Number of the version; None for the next one.
        compare: Whether to compare the answers of the export with the model's.
        warmup: Whether to write warm-up requests beside the version.
        tolerance: How far an answer may be off, as a part of the largest value of its output; with `quantize`, off
            those of the quantized model, whose own error is reported.

    Returns:
        The version; print it for a summary.

    Raises:
        ServingError: INVALID_ARGUMENT and FAILED_PRECONDITION say what is wrong with the model or the arguments,
            INTERNAL that the export answers otherwise than the model, ALREADY_EXISTS that the version is there,
            RESOURCE_EXHAUSTED that the disk is full. Nothing is left behind then.
    """
    base_path = os.fspath(base_path)
    plan = _Plan(
        Model(model, _explicit_specs(inputs), {} if preprocess else _sample_specs(samples)),
        {_DEFAULT: Predict(inputs, outputs, dict(preprocess or {})), **(signatures or {})},
        dict(samples or {}),
        quantize,
        tolerance if compare else None,
        warmup,
    )
    try:
        with Publication(base_path, version) as publication:
            name = os.path.basename(os.path.abspath(base_path))
            facts = plan.write(publication.folder, name)
            number, path = publication.publish()
    except OSError as error:
        raise ServingError.wrap(error) from error
    return ExportedVersion(path, number, inspect_model(path), **facts)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be exported, and how."""

    model: Model
    signatures: Mapping[str, Signature]
    samples: Mapping[str, Any]
    quantize: str | None
    tolerance: float | None
    warmup: bool

    def write(self, folder: str, name: str) -> dict[str, Any]:
        """Writes the version into a folder; gives the facts about it."""
        built = {each: signature.build(self.model) for each, signature in self.signatures.items()}
        _check_samples(self.samples, built)
        inputs, wanted, unchecked = self._try(built)
        original, quantization = saving.trace(built), None
        traced = original
        if self.quantize:
            built, quantization = self._quantized(self.quantize)
            traced = saving.trace(built)
        saving.save(folder, built, traced)
        facts: dict[str, Any] = {
            "open_length": _open_length(built, inputs),
            "pruned": _pruned(original),
            "unchecked": unchecked,
            "left_out": self.model.left_out([signature.function for signature in self.signatures.values()]),
            "quantization": quantization,
        }
        if self.tolerance is not None and wanted:
            found = check.answers_of(folder, {each: (built[each], inputs[each]) for each in wanted})
            if quantization is not None:
                seconds = _seconds(original, traced, built, inputs)
                facts["quantization"] = _measured(quantization, seconds, wanted, found)
                # The export must answer as the quantized model does; how far that is off is said in the report.
                wanted = {each: check.answers(built[each], inputs[each]) for each in wanted}
            facts["difference"] = _compare(wanted, found, self.tolerance)
            facts["checked"] = tuple(wanted)
        if self.warmup:
            runnable = {each: (built[each], inputs[each]) for each in wanted}
            facts["warmup_requests"] = warmup_requests.write(folder, name, runnable)
        return facts

    def _try(self, built: Mapping[str, Built]) -> tuple[_Inputs, _Inputs, dict[str, str]]:
        """Inputs of each signature, what the model answers to them, and why it does not where it refuses them."""
        inputs: dict[str, Mapping[str, Any]] = {}
        wanted: dict[str, Mapping[str, Any]] = {}
        refused: dict[str, str] = {}
        for name, each in built.items():
            for given in self._inputs(self.signatures[name], each):
                try:
                    inputs[name], wanted[name] = given, check.answers(each, given)
                    break
                except check.RefusedInputsError as error:
                    refused[name] = f"{error}; give samples"
        return inputs, wanted, {name: reason for name, reason in refused.items() if name not in wanted}

    def _inputs(self, signature: Signature, built: Built) -> Iterator[Mapping[str, Any]]:
        """The caller's samples, where they are of this signature; else made-up ones, longer and longer."""
        if self.samples and self.samples.keys() == built.inputs.keys():
            yield {alias: _tensor(self.samples[alias], alias, spec) for alias, spec in built.inputs.items()}
            return
        if built.samples is not None:
            yield built.samples(made_up_inputs.ROWS)
            return
        steps = signature.preprocess if isinstance(signature, Predict) else {}
        pictures = frozenset(alias for alias, step in steps.items() if isinstance(step, ImageBytes))
        for length in made_up_inputs.LENGTHS:
            yield made_up_inputs.made_up(built.inputs, pictures, length)

    def _quantized(self, kind: str) -> tuple[dict[str, Built], Quantization]:
        """The signatures over a model with its weights in fewer bits."""
        reports = []
        for function in {signature.function for signature in self.signatures.values()}:
            computation, report = quantized(self.model.computation(function), kind)
            self.model.replace(function, computation)
            reports.append(report)
        built = {each: signature.build(self.model) for each, signature in self.signatures.items()}
        return built, Quantization(
            kind,
            sum(report.weights for report in reports),
            sum(report.bytes_before for report in reports),
            sum(report.bytes_after for report in reports),
            sum(report.widened_in_runs for report in reports),
        )


def _sample_specs(samples: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the inputs of a model are that does not say it, by the caller's samples of them."""
    import numpy as np
    import tensorflow as tf

    specs = {}
    for alias, value in (samples or {}).items():
        array = np.asarray(value)
        dtype = tf.string if array.dtype.kind in "OSU" else tf.as_dtype(array.dtype)
        specs[alias] = tf.TensorSpec([None, *array.shape[1:]] if array.ndim else [], dtype)
    return specs


def _explicit_specs(inputs: Mapping[str, Any] | Sequence[str] | None) -> dict[str, Any]:
    """The inputs where the caller gives specs of them instead of names."""
    if isinstance(inputs, Mapping) and inputs and not any(isinstance(each, str) for each in inputs.values()):
        return dict(inputs)
    return {}


def _check_samples(samples: Mapping[str, Any], built: Mapping[str, Built]) -> None:
    if samples and not any(samples.keys() == each.inputs.keys() for each in built.values()):
        inputs = "; ".join(", ".join(each.inputs) for each in built.values())
        text = f"the samples are of {', '.join(samples)}, but no signature has these inputs; there are: {inputs}"
        raise ServingError(Code.INVALID_ARGUMENT, text)


def _tensor(value: Any, alias: str, spec: Any) -> Any:
    import numpy as np
    import tensorflow as tf

    try:
        array = np.asarray(value)
        tensor = tf.constant(array if spec.dtype == tf.string else array.astype(spec.dtype.as_numpy_dtype), spec.dtype)
    except (TypeError, ValueError) as error:
        text = f"the sample of {alias} is no {spec.dtype.name}: {error}"
        raise ServingError(Code.INVALID_ARGUMENT, text) from error
    if not spec.shape.is_compatible_with(tensor.shape):
        text = f"the sample of {alias} has the shape {tensor.shape}, the input takes {spec.shape}"
        raise ServingError(Code.INVALID_ARGUMENT, text)
    return tensor


def _compare(wanted: _Inputs, found: _Inputs, tolerance: float) -> float:
    """The largest difference.

    Raises:
        ServingError: INTERNAL, it is too large.
    """
    largest = 0.0
    for name, answers in wanted.items():
        difference = check.agreement(answers, found[name]).difference
        if not difference <= tolerance:
            text = (
                f"signature {name} of the export answers otherwise than the model: they differ by {difference:.1e} of "
                f"the largest value, more than {tolerance:.1e}. A model that draws random numbers needs compare=False."
            )
            raise ServingError(Code.INTERNAL, text)
        largest = max(largest, difference)
    return largest


def _seconds(
    before: Mapping[str, Any], after: Mapping[str, Any], built: Mapping[str, Built], inputs: _Inputs
) -> list[float]:
    """Seconds of one run of all signatures, before and after."""
    arguments = {name: saving.as_arguments(built[name], given) for name, given in inputs.items()}

    def run(traced: Mapping[str, Any]) -> None:
        for name, given in arguments.items():
            traced[name](**given)

    return check.best_seconds([partial(run, before), partial(run, after)])


def _measured(
    done: Quantization,
    seconds: Sequence[float],
    wanted: _Inputs,
    found: _Inputs,
) -> Quantization:
    """Adds to a report what changed for the answers."""
    agreements = [check.agreement(wanted[name], found[name]) for name in wanted]
    return dataclasses.replace(
        done,
        seconds_before=seconds[0],
        seconds_after=seconds[1],
        difference=max(each.difference for each in agreements),
        same_best=min(each.same_best for each in agreements),
    )


def _open_length(built: Mapping[str, Built], inputs: _Inputs) -> int:
    """How large open dimensions but the first are in some inputs."""
    lengths = [
        int(size)
        for name, tensors in inputs.items()
        for alias, tensor in tensors.items()
        if (spec := built[name].inputs[alias]).shape.rank == tensor.shape.rank
        for declared, size in list(zip(spec.shape.as_list(), tensor.shape, strict=True))[1:]
        if declared is None
    ]
    return max(lengths, default=made_up_inputs.LENGTHS[0])


def _pruned(traced: Mapping[str, Any]) -> dict[str, float]:
    variables = {
        str(getattr(variable, "path", None) or variable.name).removesuffix(":0"): variable
        for function in traced.values()
        for variable in function.variables
    }
    return pruned_weights(variables)
