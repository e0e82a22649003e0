# SPDX-License-Identifier: Apache-2.0
"""`tensorserve predict`: one request from the shell, to a running server or to a model on disk."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tensorserve.cli.arguments import Parser, UsageError
from tensorserve.cli.exit_status import FAILURE, OK, REFUSED, UNREACHABLE, USAGE
from tensorserve.cli.terminal import complain, without_native_output
from tensorserve.log import printable

if TYPE_CHECKING:
    from tensorserve_client import PredictOptions, Signature

    Arrays = dict[str, Any]

_SCHEMES = ("grpc://", "grpcs://", "http://", "https://", "unix:", "http+unix:")
_HOST_AND_PORT = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:]+\]):(\d+)(?:/.*)?")
_REST_PORT = "8501"
# TensorFlow 2 saves every signature as one for Predict; what is left is the name of the input.
_EXAMPLES_INPUT = "inputs"
_EXAMPLE_METHODS = ("/classify", "/regress")
_MOST_NAMES = 3
_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_INTEGERS_FOR_FLOATS = "Data type: int64 but expected type: float"
_EXAMPLES = """\
examples:
  tensorserve predict models/half_plus_two --input x='[1, 2]'
  tensorserve predict grpc://localhost:8500 --model_name half_plus_two --input x=@values.npy --format json
  tensorserve predict http://localhost:8501/v1/models/cats --input image=@cat.png
  tensorserve predict models/income --signature classify --example '{"age": 38.0, "job": "baker"}'
"""


def run(words: Sequence[str]) -> int:
    """Runs the command; `words` are those after `predict`. Gives the exit status."""
    try:
        arguments = parser().read(words)
    except UsageError as error:
        return error.status
    from tensorserve import errors
    from tensorserve_client import Code, InputError, ServingError
    from tensorserve_client.errors import AddressError

    try:
        outputs = _ask(arguments)
        _show(outputs, arguments.format, arguments.out)
    except (AddressError, InputError) as error:
        return _failed(str(error), USAGE)
    except ServingError as error:
        unreachable = error.code == Code.UNAVAILABLE and not error.may_have_run
        return _failed(str(error), UNREACHABLE if unreachable else REFUSED)
    except errors.ServingError as error:
        return _failed(str(error), FAILURE if error.code == errors.Code.FAILED_PRECONDITION else REFUSED)
    except BrokenPipeError:  # It is `main`'s.
        raise
    except OSError as error:
        return _failed(str(error), USAGE)
    return OK


def _failed(text: str, status: int) -> int:
    complain(f"tensorserve predict: {text}")
    if _INTEGERS_FOR_FLOATS in text:
        complain("Write the numbers of a feature of floats as 5.0: 5 is an int64.")
    return status


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser("tensorserve predict", description=__doc__, epilog=_EXAMPLES)
    made.add_argument("place", help="URL of a server (grpc://, http://, unix:PATH, ...) or path of a SavedModel")
    made.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="ALIAS=VALUE",
        help="JSON, text, @FILE (.npy, .json, image, any), @-",
    )
    made.add_argument(
        "--example",
        action="append",
        default=[],
        metavar="JSON",
        help="features of a tf.Example; again for more of them",
    )
    made.add_argument("--model_name", default="", help="the model to ask a server for")
    made.add_argument("--signature", default="serving_default", help="the signature to call (serving_default)")
    version = made.add_mutually_exclusive_group()
    version.add_argument("--version", type=int, help="number of the version (the latest)")
    version.add_argument("--label", help="label of the version; servers only")
    made.add_argument("--outputs", default="", metavar="ALIAS,...", help="only these outputs")
    made.add_argument("--format", choices=("table", "json", "npy"), default="table", help="how to show them (table)")
    made.add_argument("--out", metavar="FILE", help="write them to this file instead of the standard output")
    made.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for a server (60)")
    made.add_argument("--token_file", help="file whose first line is a token of the server")
    made.add_argument("--ca_file", help="certificates to trust, for grpcs and https")
    return made


def _ask(arguments: Namespace) -> Arrays:
    wanted = [alias.strip() for alias in arguments.outputs.split(",") if alias.strip()]
    if arguments.place.startswith(_SCHEMES):
        return _ask_server(arguments, wanted)
    from tensorserve_client import InputError

    address = _HOST_AND_PORT.fullmatch(arguments.place)
    if address and not os.path.exists(arguments.place):
        scheme = "http" if address[1] == _REST_PORT or "/" in arguments.place else "grpc"
        raise InputError(f"there is no file {arguments.place}; did you mean {scheme}://{arguments.place}?")
    if arguments.label:
        raise InputError("--label is for servers; a model on disk has versions only")
    return _ask_model(arguments, wanted)


def _ask_server(arguments: Namespace, wanted: list[str]) -> Arrays:
    from tensorserve_client import Client, InputError, Retries, Tls

    url, _, named = arguments.place.partition("/v1/models/")
    model = arguments.model_name or named.strip("/")
    if not model:
        raise InputError("which model? Name it with --model_name, or in the URL: http://HOST:PORT/v1/models/NAME")
    options: PredictOptions = {"signature": arguments.signature, "version": arguments.version, "label": arguments.label}
    options["outputs"] = wanted
    token = _first_line(arguments.token_file) if arguments.token_file else None
    tls, retries = Tls(ca_file=arguments.ca_file), Retries(attempts=3)
    with Client(url, tls=tls, token=token, timeout=arguments.timeout, retries=retries) as client:
        known = client.metadata(model, version=arguments.version, label=arguments.label).signatures
        inputs = _inputs(arguments, known)
        return dict(client.predict(model, inputs, **options))


def _ask_model(arguments: Namespace, wanted: list[str]) -> Arrays:
    from tensorserve.engine.loading import load
    from tensorserve_client import InputError

    with _quiet_tensorflow(), load(arguments.place, version=arguments.version) as model:
        inputs = _inputs(arguments, model.signatures)
        outputs = model.signatures[arguments.signature](**inputs)
    for alias in wanted:
        if alias not in outputs:
            raise InputError(f"the signature has no output {alias}; there are: {', '.join(sorted(outputs))}")
    return {alias: outputs[alias] for alias in wanted or outputs}


@contextlib.contextmanager
def _quiet_tensorflow() -> Iterator[None]:
    """TensorFlow writes lines of its own beside an answer or an error of one line; who sets its level wants them."""
    if _LOG_LEVEL in os.environ:
        yield
        return
    os.environ[_LOG_LEVEL] = "3"
    try:
        with without_native_output():
            yield
    finally:
        del os.environ[_LOG_LEVEL]


def _inputs(arguments: Namespace, signatures: Mapping[str, Signature] | Mapping[str, Any]) -> Arrays:
    from tensorserve.cli.input_values import read_inputs
    from tensorserve_client import InputError

    if arguments.signature not in signatures:
        names = ", ".join(name for name in signatures if not name.startswith("__"))
        raise InputError(f"the model has no signature {arguments.signature}; there are: {names}")
    if arguments.example:
        _refuse_examples_for_others(arguments.signature, signatures)
    return read_inputs(arguments.input, arguments.example, signatures[arguments.signature].inputs)


def _refuse_examples_for_others(name: str, signatures: Mapping[str, Signature] | Mapping[str, Any]) -> None:
    from tensorserve_client import InputError

    if _has_one_text(signatures[name]):
        return
    others = [
        f"`--signature {other}`"
        for other in signatures
        if not other.startswith("__")
        and _has_one_text(signatures[other])
        and (_EXAMPLES_INPUT in signatures[other].inputs or signatures[other].method.endswith(_EXAMPLE_METHODS))
    ]
    consequence = f"{' or '.join(others[:_MOST_NAMES])} does" if others else "none of the model does; use --input"
    raise InputError(f"signature {name} takes no tf.Example messages; {consequence}")


def _has_one_text(signature: Signature | Any) -> bool:
    specs = list(signature.inputs.values())
    return len(specs) == 1 and specs[0].dtype is not None and specs[0].dtype.hasobject


def _first_line(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.readline().strip()


def _show(outputs: Arrays, kind: str, path: str | None) -> None:
    content = (
        _as_npy(outputs) if kind == "npy" else (_as_json(outputs) if kind == "json" else _as_table(outputs)).encode()
    )
    if path:
        with open(path, "wb") as file:
            file.write(content)
    elif hasattr(sys.stdout, "buffer") and kind == "npy":
        if os.isatty(sys.stdout.fileno()):
            raise OSError("npy is no text; write it to a file with --out or >")
        sys.stdout.buffer.write(content)
    else:
        text = content.decode()
        # A model's strings must not steer a terminal; a program that reads them wants them as they are.
        sys.stdout.write(printable(text, keep="\n\t") if sys.stdout.isatty() else text)


def _as_npy(outputs: Arrays) -> bytes:
    import numpy as np

    # Objects could only be written by pickle, which nobody should read.
    plain = {alias: array.astype("S") if array.dtype.hasobject else array for alias, array in outputs.items()}
    file = io.BytesIO()
    if len(plain) == 1:
        np.save(file, next(iter(plain.values())), allow_pickle=False)
    else:
        np.savez(file, **plain)
    return file.getvalue()


def _as_json(outputs: Arrays) -> str:
    return json.dumps({alias: _plain(array.tolist()) for alias, array in outputs.items()}, indent=2) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, complex):
        return [value.real, value.imag]
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}


def _as_table(outputs: Arrays) -> str:
    import numpy as np

    lines = []
    for alias, array in outputs.items():
        kind = "string" if array.dtype.hasobject else str(array.dtype)
        shown = np.array([_plain(item) for item in array.ravel().tolist()], object).reshape(array.shape)
        text = np.array2string(
            shown if array.dtype.hasobject else array, threshold=100, edgeitems=4, max_line_width=110
        )
        lines.append(f"{alias}  {kind} {list(array.shape)}\n{text}\n")
    return "\n".join(lines)
