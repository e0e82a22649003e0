# SPDX-License-Identifier: Apache-2.0
"""`tensorserve export`: makes a version out of a trained model."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tensorserve.cli.arguments import Parser, UsageError
from tensorserve.cli.exit_status import FAILURE, OK, USAGE
from tensorserve.cli.terminal import as_json, complain, say, without_native_output
from tensorserve.errors import Code, ServingError

if TYPE_CHECKING:
    from tensorserve.export import Classify, ExportedVersion, Regress
    from tensorserve.export.preprocessing import Preprocessing

_EXAMPLES = """\
examples:
  tensorserve export model.keras /models/digits --input image=pixels --output probabilities
  tensorserve export saved_model/ /models/flowers --image picture_bytes=input_1:224x224 --quantize float16
  tensorserve export model.h5 /models/iris --classify features.json --labels labels.txt
    where features.json says {"petals": ["float32", [4]]}
"""


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser(
        "tensorserve export",
        description="Writes a model as the next version under a base path. Needs TensorFlow.",
        epilog=_EXAMPLES,
    )
    made.add_argument("model", help=".keras or .h5 file, or the folder of a SavedModel")
    made.add_argument("base_path", help="folder of the versions; its name is the model's")
    names = made.add_argument_group("names")
    names.add_argument(
        "--input", action="append", default=[], metavar="ALIAS[=NAME]", help="an input, in the model's order or by name"
    )
    names.add_argument(
        "--output", action="append", default=[], metavar="ALIAS[=NAME]", help="an output; others are not served"
    )
    names.add_argument("--signature", default="", metavar="NAME", help="signature of a SavedModel to export")
    more = made.add_argument_group("tf.Example messages")
    more.add_argument("--classify", metavar="FEATURES", help="add a signature classify, for these features (JSON file)")
    more.add_argument("--regress", metavar="FEATURES", help="add a signature regress, for these features (JSON file)")
    more.add_argument("--labels", metavar="FILE", help="labels of --classify, one on each line")
    more.add_argument("--from_logits", action="store_true", help="scores of --classify are logits")
    steps = made.add_argument_group("before the model")
    steps.add_argument(
        "--image", action="append", default=[], metavar="ALIAS[=NAME][:HxW]", help="an input by PNG or JPEG files"
    )
    steps.add_argument("--image_scale", type=float, default=1.0, metavar="F", help="factor of pixels (1; 0.00392157)")
    steps.add_argument("--text", action="append", default=[], metavar="ALIAS[=NAME]:VOCABULARY", help="input by text")
    made.add_argument("--quantize", choices=("float16", "int8"), help="store weights in fewer bits")
    made.add_argument("--samples", metavar="FILE", help="npz file of inputs, to check and warm up with")
    made.add_argument("--version", type=int, metavar="N", help="number of the version (the next)")
    made.add_argument("--no_check", action="store_true", help="do not compare the answers with the model's")
    made.add_argument("--no_warmup", action="store_true", help="write no warm-up requests")
    made.add_argument("--json", action="store_true", help="print the facts as JSON")
    return made


def run(words: Sequence[str]) -> int:
    """Exports; `words` are those after `export`. Gives the exit status."""
    try:
        arguments = parser().read(words)
    except UsageError as error:
        return error.status
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    try:
        with without_native_output():
            done = _export(arguments)
    except ServingError as error:
        complain(f"tensorserve export: {error.message}")
        return USAGE if error.code is Code.INVALID_ARGUMENT else FAILURE
    except ModuleNotFoundError as error:
        complain(f"tensorserve export: {error}; run: pip install 'tensorserve[tensorflow]'")
        return FAILURE
    say(as_json(done.as_dict()) if arguments.json else done)
    return OK


def _export(arguments: Namespace) -> ExportedVersion:
    from tensorserve.export import export

    return export(
        arguments.model,
        arguments.base_path,
        signatures=_signatures(arguments),
        samples=_samples(arguments.samples),
        quantize=arguments.quantize,
        version=arguments.version,
        compare=not arguments.no_check,
        warmup=not arguments.no_warmup,
    )


def _signatures(arguments: Namespace) -> dict[str, Any]:
    from tensorserve.export import Classify, Predict, Regress

    steps, named = _steps(arguments)
    inputs = [*arguments.input, *named]
    asked: dict[str, Any] = {
        "serving_default": Predict(_names(inputs), _names(arguments.output), steps, arguments.signature)
    }
    if arguments.classify:
        asked["classify"] = _classify(arguments, Classify)
    if arguments.regress:
        asked["regress"] = _regress(arguments, Regress)
    return asked


def _classify(arguments: Namespace, kind: type[Classify]) -> Classify:
    return kind(
        _features(arguments.classify),
        labels=arguments.labels or (),
        from_logits=arguments.from_logits,
        function=arguments.signature,
    )


def _regress(arguments: Namespace, kind: type[Regress]) -> Regress:
    return kind(_features(arguments.regress), function=arguments.signature)


def _names(given: Sequence[str]) -> dict[str, str] | list[str] | None:
    """Aliases in the model's order, or names by alias if there is an equals sign."""
    if not given:
        return None
    if all("=" not in each for each in given):
        return list(given)
    return {alias: name or alias for alias, _, name in (each.partition("=") for each in given)}


def _steps(arguments: Namespace) -> tuple[dict[str, Preprocessing], list[str]]:
    """The steps before the model by alias, and the names of their inputs."""
    from tensorserve.export import ImageBytes, WordPieces

    steps: dict[str, Preprocessing] = {}
    named = []
    for given in arguments.image:
        name, _, size = given.partition(":")
        height, width = _size(size, given)
        steps[name.partition("=")[0]] = ImageBytes(height, width, scale=arguments.image_scale)
        named.append(name)
    for given in arguments.text:
        name, _, vocabulary = given.partition(":")
        if not vocabulary:
            raise ServingError(Code.INVALID_ARGUMENT, f"--text={given} names no vocabulary; write ALIAS:FILE")
        steps[name.partition("=")[0]] = WordPieces(vocabulary)
        named.append(name)
    return steps, named


def _size(text: str, given: str) -> tuple[int, int]:
    if not text:
        return 0, 0
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise ServingError(Code.INVALID_ARGUMENT, f"--image={given}: {text} is no size; write such as :224x224")
    return int(height), int(width)


def _features(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            features = json.load(file)
    except OSError as error:
        raise ServingError.wrap(error) from error
    except ValueError as error:
        raise ServingError(Code.INVALID_ARGUMENT, f"{path} is no JSON: {error}") from error
    if not isinstance(features, dict):
        text = f'{path} must be an object of features, such as {{"petals": ["float32", [4]]}}'
        raise ServingError(Code.INVALID_ARGUMENT, text)
    return features


def _samples(path: str | None) -> dict[str, Any] | None:
    if path is None:
        return None
    import numpy as np

    try:
        with np.load(path) as arrays:
            return dict(arrays)
    except (OSError, ValueError) as error:
        raise ServingError(Code.INVALID_ARGUMENT, f"{path} is no npz file of inputs: {error}") from error
