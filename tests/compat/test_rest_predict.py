# SPDX-License-Identifier: Apache-2.0
"""Predict over REST: the row and the column form, conversion of values, and what is refused."""

import math
from typing import Any

import pytest

from tests.clients import RestClient, without_explanation

MATRIX = [[1, 2], [3, 4]]


def answer(client: RestClient, model: str, body: Any) -> Any:
    reply = client.predict(model, body)
    assert reply.status_code == 200, reply.text
    return reply.json()


def refusal(client: RestClient, model: str, body: Any) -> tuple[int, str]:
    reply = client.predict(model, body)
    return reply.status_code, without_explanation(reply.json()["error"])


GOOD: dict[str, tuple[str, Any, Any]] = {
    "rows of values": ("half_plus_two", {"instances": [1, 2.0]}, {"predictions": [4.5, 5.0]}),
    "rows of lists": ("half_plus_two", {"instances": [[1], [2]]}, {"predictions": [[4.5], [5.0]]}),
    "rows of objects": ("half_plus_two", {"instances": [{"x": 1}, {"x": 2}]}, {"predictions": [4.5, 5.0]}),
    "column value": ("half_plus_two", {"inputs": [1, 2]}, {"outputs": [4.5, 5.0]}),
    "column object": ("half_plus_two", {"inputs": {"x": [1, 2]}}, {"outputs": [4.5, 5.0]}),
    "column scalar": ("scalar", {"inputs": 21}, {"outputs": 42.0}),
    "column scalar object": ("scalar", {"inputs": {"x": 21}}, {"outputs": 42.0}),
    "column, empty list": ("half_plus_two", {"inputs": []}, {"outputs": []}),
    "column, extra key": ("half_plus_two", {"inputs": {"x": [1], "z": [2]}}, {"outputs": [4.5]}),
    "two inputs as columns": ("matmul", {"inputs": {"a": MATRIX, "b": [[1, 0], [0, 1]]}}, {"outputs": MATRIX}),
    "two inputs as rows": (
        "matmul",
        {"instances": [{"a": [1, 2], "b": [1, 0]}, {"a": [3, 4], "b": [0, 1]}]},
        {"predictions": MATRIX},
    ),
    "signature": ("echo", {"signature_name": "int64", "instances": [-(2**63)]}, {"predictions": [-(2**63)]}),
    "two outputs as rows": (
        "multi_output",
        {"instances": [{"x": MATRIX}]},
        {"predictions": [{"a": MATRIX, "s_bytes": {"b64": "aGk="}}]},
    ),
    "two outputs as columns": (
        "multi_output",
        {"inputs": [MATRIX]},
        {"outputs": {"a": [MATRIX], "s_bytes": [{"b64": "aGk="}]}},
    ),
    "uneven outputs as columns": (
        "multi_output",
        {"signature_name": "uneven", "inputs": [MATRIX]},
        {"outputs": {"a": [MATRIX], "longer": [1.0, 1.0]}},
    ),
    "strings": ("strings", {"instances": ["a", "b/\u00e4\u0001\n"]}, {"predictions": ["A", "B/\u00e4\u0001\n"]}),
    "string in base64": ("strings", {"instances": [{"b64": "aGk="}]}, {"predictions": ["HI"]}),
    "base64 without padding": ("strings", {"inputs": {"b64": "aGk"}}, {"outputs": "HI"}),
    "base64 in an object": ("strings", {"instances": [{"text": {"b64": "aGk="}}]}, {"predictions": ["HI"]}),
    "bytes out": (
        "strings",
        {"signature_name": "binary", "instances": ["hi"]},
        {"predictions": [{"b64": "SEk="}]},
    ),
}


@pytest.mark.parametrize("case", GOOD)
def test_answers(rest_client: RestClient, case: str) -> None:
    model, body, expected = GOOD[case]
    assert answer(rest_client, model, body) == expected


DTYPES: dict[str, tuple[list[Any], list[Any]]] = {
    "float32": ([1, 0.1, -2.5e-3], [1.0, 0.1, -0.0025]),
    "float64": ([1, 0.1, 1e300], [1.0, 0.1, 1e300]),
    "int8": ([-128, 127], [-128, 127]),
    "int16": ([-32768, 32767], [-32768, 32767]),
    "int32": ([-(2**31), 2**31 - 1], [-(2**31), 2**31 - 1]),
    "int64": ([-(2**63), 2**63 - 1], [-(2**63), 2**63 - 1]),
    "uint8": ([0, 255], [0, 255]),
    "uint16": ([0, 65535], [0, 65535]),
    "float16": ([1, -0.5], [1.0, -0.5]),
    "bfloat16": ([1, -0.5], [1.0, -0.5]),
    "uint32": ([0, 2**32 - 1], [0, 2**32 - 1]),
    "uint64": ([0, 2**64 - 1], [0, 2**64 - 1]),
    "bool": ([True, False], [True, False]),
    "string": (["a", ""], ["a", ""]),
}


@pytest.mark.parametrize("form", [("instances", "predictions"), ("inputs", "outputs")])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(rest_client: RestClient, dtype: str, form: tuple[str, str]) -> None:
    sent, expected = DTYPES[dtype]
    assert answer(rest_client, "echo", {"signature_name": dtype, form[0]: sent}) == {form[1]: expected}


WRONG_VALUES: dict[str, tuple[str, str, str]] = {
    "string for float": ("float32", '["a"]', 'JSON Value: "a" Type: String is not of expected type: float'),
    "null for float": ("float32", "[null]", "JSON Value: null Type: Null is not of expected type: float"),
    "true for float": ("float32", "[true]", "JSON Value: true Type: True is not of expected type: float"),
    "string for double": ("float64", '["a"]', 'JSON Value: "a" Type: String is not of expected type: double'),
    "decimal for int32": ("int32", "[1.0]", "JSON Value: 1.0 Type: Number is not of expected type: int32"),
    "too large for int32": (
        "int32",
        "[2147483648]",
        "JSON Value: 2147483648 Type: Number is not of expected type: int32",
    ),
    "decimal for int64": ("int64", "[1.5]", "JSON Value: 1.5 Type: Number is not of expected type: int64"),
    "too large for uint8": ("uint8", "[300]", "JSON Value: 300 Type: Number is not of expected type: uint8"),
    "negative for uint32": ("uint32", "[-1]", "JSON Value: -1 Type: Number is not of expected type: uint32"),
    "number for bool": ("bool", "[1]", "JSON Value: 1 Type: Number is not of expected type: bool"),
    "number for string": ("string", "[1]", "JSON Value: 1 Type: Number is not of expected type: string"),
    "bad base64": ("string", '[{"b64": "*"}]', "Unable to base64 decode"),
}


@pytest.mark.parametrize("case", WRONG_VALUES)
def test_wrong_value_in_a_column(rest_client: RestClient, case: str) -> None:
    dtype, values, message = WRONG_VALUES[case]
    body = f'{{"signature_name": "{dtype}", "inputs": {values}}}'
    assert refusal(rest_client, "echo", body) == (400, message)


@pytest.mark.parametrize("case", WRONG_VALUES)
def test_wrong_value_in_a_row(rest_client: RestClient, case: str) -> None:
    dtype, values, message = WRONG_VALUES[case]
    body = f'{{"signature_name": "{dtype}", "instances": {values}}}'
    prefix = "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
    assert refusal(rest_client, "echo", body) == (400, prefix + message)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_dtypes_without_json(rest_client: RestClient, dtype: str) -> None:
    column = refusal(rest_client, "echo", f'{{"signature_name": "{dtype}", "inputs": [1]}}')
    assert column == (501, f"Conversion of JSON Value: 1 to type: {dtype}")
    assert rest_client.predict("echo", {"signature_name": dtype, "instances": [1]}).status_code == 400


BAD: dict[str, tuple[str, str, str]] = {
    "neither key": ("half_plus_two", "{}", "Missing 'inputs' or 'instances' key"),
    "both keys": (
        "half_plus_two",
        '{"instances": [1], "inputs": [1]}',
        'JSON Value: {\n    "instances": [1],\n    "inputs": [1]\n} Not formatted correctly expecting only one of '
        "'inputs' or 'instances' keys to exist ",
    ),
    "instances not a list": (
        "half_plus_two",
        '{"instances": 1}',
        "JSON Value: {\n    \"instances\": 1\n} Expecting 'instances' to be an list/array",
    ),
    "no instances": (
        "half_plus_two",
        '{"instances": []}',
        "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array",
    ),
    "signature name not a string": (
        "half_plus_two",
        '{"signature_name": 1, "instances": [1]}',
        'JSON Value: {\n    "signature_name": 1,\n    "instances": [1]\n} not formatted correctly. '
        "'signature_name' key must be a string value.",
    ),
    "plain list for two inputs": (
        "matmul",
        '{"instances": [1, 2]}',
        "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
        "tensorinfo_map",
    ),
    "plain value for two inputs": (
        "matmul",
        '{"inputs": [1, 2]}',
        "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
        "tensorinfo_map",
    ),
    "missing column": ("matmul", '{"inputs": {"a": [[1]]}}', "Missing named input: b in 'inputs' object."),
    "value after an object": (
        "half_plus_two",
        '{"instances": [{"x": 1}, 2]}',
        "Expecting object but got list at item 1 of input list",
    ),
    "object after a value": (
        "half_plus_two",
        '{"instances": [1, {"x": 2}]}',
        "Expecting value/list but got object at item 1 of input list",
    ),
    "missing key in a row": (
        "matmul",
        '{"instances": [{"a": 1}]}',
        "Failed to process element: 0 of 'instances' list. JSON object: {\n    \"a\": 1\n} keys must be equal to: a,b",
    ),
    "unknown key in a row": (
        "half_plus_two",
        '{"instances": [{"z": 1}]}',
        "Failed to process element: 0 key: z of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have "
        "named input: z",
    ),
    "rows of different sizes": (
        "half_plus_two",
        '{"instances": [[1, 2], [1]]}',
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 2 but got: "
        "1",
    ),
    "rows of different shapes": (
        "half_plus_two",
        '{"instances": [[[1, 2], [3, 4]], [[1, 2, 3, 4]]]}',
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting shape [2,2] but got: "
        "[1,4]",
    ),
    "ragged column": (
        "half_plus_two",
        '{"inputs": [[1, 2], [3]]}',
        "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
    ),
    "list beside a value": (
        "half_plus_two",
        '{"inputs": [1, [2]]}',
        "Encountered list at unexpected level: 1 expected < 1",
    ),
    "value beside a list": (
        "half_plus_two",
        '{"inputs": [[1], 2]}',
        "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
    ),
    "scalar output in rows": (
        "scalar",
        '{"signature_name": "total", "instances": [1, 2]}',
        "Tensor name: sum has no shape information ",
    ),
    "wrong shape": (
        "matmul",
        '{"inputs": {"a": [[1, 2, 3]], "b": [[1, 2]]}}',
        "Matrix size-incompatible: In[0]: [1,3], In[1]: [1,2]\n\t [[{{node mm}}]]",
    ),
    "default inputs do not exist over REST": (
        "sums",
        '{"inputs": {"a": [1]}}',
        "Missing named input: b in 'inputs' object.",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses(rest_client: RestClient, case: str) -> None:
    model, body, message = BAD[case]
    assert refusal(rest_client, model, body) == (400, message)


EXPLAINED = {
    "neither key": "takes: x (float [-1])",
    "missing column": "takes: a (float [-1,-1]), b (float [-1,-1])",
    "unknown key in a row": "takes: x (float [-1])",
    "rows of different sizes": "takes: x (float [-1])",
    "ragged column": "takes: x (float [-1])",
    "wrong shape": "takes: a (float [-1,-1]), b (float [-1,-1]); given: a (float [1,3]), b (float [1,2])",
}


@pytest.mark.parametrize("case", EXPLAINED)
def test_says_what_the_signature_takes(rest_client: RestClient, case: str) -> None:
    model, body, message = BAD[case]
    error = rest_client.predict(model, body).json()["error"]
    assert error == f"{message} (signature serving_default {EXPLAINED[case]})"


def test_uneven_outputs_say_which(rest_client: RestClient) -> None:
    body = {"signature_name": "uneven", "instances": [MATRIX]}
    status, error = refusal(rest_client, "multi_output", body)
    assert status == 400
    assert error in (
        "Tensor name: longer has inconsistent batch size: 2 expecting: 1",
        "Tensor name: a has inconsistent batch size: 1 expecting: 2",
    )


def test_the_server_answers_after_every_error(rest_client: RestClient) -> None:
    for model, body, _message in BAD.values():
        rest_client.predict(model, body)
        assert answer(rest_client, "half_plus_two", {"instances": [1]}) == {"predictions": [4.5]}


def test_image_of_lists(rest_client: RestClient) -> None:
    row = [[[0.25, 0.5, 0.75]] * 224] * 224
    found = answer(rest_client, "image_mean", {"instances": [row, row]})["predictions"]
    assert all(math.isclose(value, 0.5, rel_tol=1e-4) for value in found)
    assert len(found) == 2
