# SPDX-License-Identifier: Apache-2.0
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tensorserve.errors import Code, ServingError
from tensorserve.inspect import inspect_model
from tensorserve.inspect.description import CustomOp, Variables
from tests.unit.inspect.saved_models import half_plus_two, node, saved_model, signature, tensor, write


def test_a_version_of_a_base_path(models: Path) -> None:
    model = inspect_model(models / "half_plus_two")
    assert (model.name, model.version, model.versions) == ("half_plus_two", 4, (1, 2, 3, 4))
    assert inspect_model(models / "half_plus_two", version=2).version == 2
    only = inspect_model(models / "half_plus_two" / "1")
    assert (only.name, only.version, only.versions) == ("half_plus_two", 1, (1,))
    assert only.tags == (("serve",),)
    assert only.tensorflow_version.startswith("2.")
    assert len(only.fingerprint) == 16
    assert only.variables == Variables(2, {"float32": 2}, 8)
    assert only.size == sum(path.stat().st_size for path in (models / "half_plus_two" / "1").rglob("*.*"))
    assert only.problems == ()
    (found,) = only.signatures
    assert [(each.alias, each.dtype, each.shape) for each in found.inputs] == [("x", "float32", (None,))]
    assert found.batching is not None
    assert found.batching.possible


def test_nothing_slow_is_imported(models: Path) -> None:
    code = (
        "import sys\nfrom tensorserve.cli.main import run\n"
        f"assert run(['inspect', {str(models / 'resnet50')!r}]) == 0\n"
        "print(*sorted({'tensorflow', 'numpy', 'grpc', 'keras', 'fsspec'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""
    assert "signature serving_default (predict)" in done.stdout


def test_defaults_of_inputs(models: Path) -> None:
    (found,) = inspect_model(models / "sums").signatures
    assert [(each.alias, each.default) for each in found.inputs] == [("a", None), ("b", [10.0])]


def test_features_of_examples(models: Path) -> None:
    found = {each.name: each for each in inspect_model(models / "heads").signatures}
    (feature,) = found["serving_default"].features
    assert (feature.name, feature.dtype, feature.shape, feature.required) == ("x", "float32", (1,), True)
    assert found["serving_default"].method == "classify"


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    model = half_plus_two()
    model.meta_graphs[0].asset_file_def.add(filename="vocabulary.txt")
    assert inspect_model(write(tmp_path / "1", model)).problems == ("assets/vocabulary.txt is missing",)


def test_variables_that_are_not_whole_are_said(models: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(models / "mlp" / "1", tmp_path / "1")
    data = next((folder / "variables").glob("*.data*"))
    data.write_bytes(data.read_bytes()[:-10])
    (problem,) = inspect_model(tmp_path).problems
    assert problem.startswith(f"variables/{data.name} has ")
    data.unlink()
    assert inspect_model(tmp_path).problems == (f"variables/{data.name} is missing",)
    index = folder / "variables" / "variables.index"
    index.write_bytes(index.read_bytes()[:-10])
    found = inspect_model(tmp_path)
    assert found.problems == ("variables/variables.index is not the whole file",)
    assert (found.variables, found.signatures[0].inputs[0].dtype) == (None, "float32")


def test_custom_ops_and_who_brings_them(tmp_path: Path) -> None:
    nodes = [node("x", "Placeholder"), node("y", "Addons>Mish", "x"), node("unused", "OurOwnOp")]
    signatures = {"serving_default": signature({}, {"y": tensor("y:0", "DT_FLOAT", (-1,))})}
    model = inspect_model(write(tmp_path / "1", saved_model(nodes, signatures)))
    assert model.custom_ops == (
        CustomOp("Addons>Mish", "tensorflow-addons", False),
        CustomOp("OurOwnOp", "", False),
    )
    assert "OurOwnOp" not in model.ops


def test_only_ops_that_requests_run_are_risks(tmp_path: Path) -> None:
    nodes = [
        node("x", "Placeholder"),
        node("y", "StatefulPartitionedCall", "x", f="serve"),
        node("restore", "RestoreV2"),
        node("save", "SaveV2", "x"),
    ]
    functions = {"serve": [node("inner", "PartitionedCall", f="reads")], "reads": [node("r", "ReadFile")]}
    signatures = {"serving_default": signature({}, {"y": tensor("y:0", "DT_FLOAT", (-1,))})}
    model = inspect_model(write(tmp_path / "1", saved_model(nodes, signatures, functions)))
    (risk,) = model.signatures[0].risks
    assert (risk.op, risk.reason) == ("ReadFile", "reads files of the server's machine")


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        ("EagerPyFunc", "calls Python"),
        ("WriteFile", "writes files"),
        ("AssignAddVariableOp", "changes variables"),
        ("QueueDequeueManyV2", "takes from a queue"),
        ("PrintV2", "prints"),
    ],
)
def test_risks_keep_requests_apart(tmp_path: Path, op: str, reason: str) -> None:
    (found,) = inspect_model(write(tmp_path / "1", half_plus_two(op=op))).signatures
    assert found.risks[0].reason.startswith(reason)
    assert found.batching is not None
    assert not found.batching.possible
    assert op in found.batching.reason


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((), "input x is a single value without a batch dimension"),
        ((3, 2), "the first dimension of input x is fixed to 3"),
        (None, "input x does not say how many dimensions it has"),
    ],
)
def test_why_a_signature_cannot_be_batched(tmp_path: Path, shape: tuple[int, ...] | None, reason: str) -> None:
    (found,) = inspect_model(write(tmp_path / "1", half_plus_two(shape))).signatures
    assert found.batching is not None
    assert (found.batching.possible, found.batching.reason) == (False, reason)


def test_tags_that_are_not_there(tmp_path: Path) -> None:
    write(tmp_path / "1", saved_model([], {}, tags=["train", "gpu"]))
    with pytest.raises(ServingError, match="no graph has the tags serve; there are: train,gpu") as caught:
        inspect_model(tmp_path)
    assert caught.value.code is Code.NOT_FOUND
    assert inspect_model(tmp_path, tags=("gpu", "train")).problems[0].startswith("there is no signature")


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match=r"holds neither saved_model.pb nor numbered versions.*tensorserve export"):
        inspect_model(tmp_path)
    with pytest.raises(ServingError, match="No such file or directory"):
        inspect_model(tmp_path / "none")
    whole = write(tmp_path / "1", half_plus_two())
    with pytest.raises(ServingError, match="has no version 7; there are: 1"):
        inspect_model(tmp_path, version=7)
    content = (whole / "saved_model.pb").read_bytes()
    (whole / "saved_model.pb").write_bytes(content[:-5])
    with pytest.raises(ServingError, match="ends too early; copy the model again") as caught:
        inspect_model(tmp_path)
    assert caught.value.code is Code.DATA_LOSS


def test_text_models(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pbtxt").write_text(str(half_plus_two()))
    assert inspect_model(tmp_path).signatures[0].inputs[0].alias == "x"


def test_every_op_of_the_installed_tensorflow_is_known() -> None:
    code = (
        "from tensorflow.python.client import pywrap_tf_session as session\n"
        "from tensorflow.core.framework.op_def_pb2 import OpList\n"
        "for op in OpList.FromString(session.TF_GetBuffer(session.TF_GetAllOpList())).op: print(op.name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    from tensorserve.inspect.ops import known_ops

    assert len(done.stdout.split()) > 1000
    assert set(done.stdout.split()) - known_ops() == set(), "add them to inspect/tensorflow_ops.txt"
