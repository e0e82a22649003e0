# SPDX-License-Identifier: Apache-2.0
"""Models made by others, from packages of PyPI: exported, inspected and served, they answer as they do by themselves.

The reference is computed by Keras or by a session of TensorFlow, without any of our code.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensorserve import Client
from tensorserve.inspect import inspect_model
from tests.server_process import ServerProcess

Arrays = dict[str, np.ndarray]
TOLERANCE = 1e-5


def file_of(package: str, *path: str) -> Path:
    """A file of an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    assert spec is not None, f"{package} is not installed; run make accept AREA=models"
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]).joinpath(*path)


def by_keras(path: Path, given: Arrays) -> list[np.ndarray]:
    import keras

    return [keras.saving.load_model(path, compile=False).predict(next(iter(given.values())), verbose=0)]


def by_session(path: Path, given: Arrays) -> list[np.ndarray]:
    """The notes of basic-pitch, by what TensorFlow's own loader of graphs restores."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default(), tf.Session() as session:
        signature = tf.saved_model.load(session, ["serve"], str(path)).signature_def["serving_default"]
        feeds = {signature.inputs["input_2"].name: given["audio"]}
        return [session.run(signature.outputs["note"].name, feeds)]


def deepcut(path: Path) -> Any:
    """The splitter of Thai words, built by its own code."""
    spec = importlib.util.spec_from_file_location("deepcut_model", file_of("deepcut", "model.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.get_convo_nn2()
    model.load_weights(path)
    return model


@dataclass(frozen=True)
class Case:
    """A model.

    Attributes:
        file: Its file or folder.
        inputs: What we call its inputs, with values.
        output: What we call its output.
        reference: What it answers itself.
        words: Further words for `tensorserve export`.
    """

    file: Path
    inputs: Arrays
    output: str
    reference: Callable[[Path, Arrays], list[np.ndarray]]
    words: tuple[str, ...]


def cases() -> dict[str, Case]:
    random = np.random.default_rng(15)
    dna = np.eye(4, dtype=np.float32)[random.integers(0, 4, (2, 10_100))]
    face = random.random((3, 64, 64, 1), np.float32)
    audio = random.uniform(-1, 1, (1, 43844, 1)).astype(np.float32)
    pitch = file_of("basic_pitch", "saved_models", "icassp_2022", "nmp")
    named = ("--input=audio=input_2", "--output=notes=note")
    return {
        "emotions": Case(
            file_of("fer", "data", "emotion_model.hdf5"),
            {"face": face},
            "emotion",
            by_keras,
            ("--input=face", "--output=emotion"),
        ),
        "splices": Case(
            file_of("spliceai", "models", "spliceai1.h5"),
            {"dna": dna},
            "sites",
            by_keras,
            ("--input=dna", "--output=sites"),
        ),
        "notes": Case(pitch, {"audio": audio}, "notes", by_session, named),
    }


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every model, exported by the command line or, where it is code, by Python."""
    from tensorserve.export import export

    folder = tmp_path_factory.mktemp("repository")
    for name, case in cases().items():
        samples = folder.parent / f"{name}.npz"
        np.savez(samples, **case.inputs)
        command = [sys.executable, "-m", "tensorserve", "export", str(case.file), str(folder / name), *case.words]
        done = subprocess.run([*command, f"--samples={samples}"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "checked: the answers of serving_default equal the model's" in done.stdout
    weights = file_of("deepcut", "weight", "cnn_without_ne_ab.h5")
    export(deepcut(weights), folder / "words", inputs=["characters", "kinds"], outputs=["begins"])
    return folder


@pytest.fixture(scope="module")
def clients(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Client]]:
    with (
        ServerProcess([f"--model_repository={repository}"], tmp_path_factory.mktemp("server") / "log") as server,
        Client(f"grpc://{server.grpc_target}") as grpc,
        Client(server.rest_url) as http,
    ):
        yield {"grpc": grpc, "http": http}


def assert_alike(answer: np.ndarray, expected: np.ndarray) -> None:
    assert answer.shape == expected.shape
    assert np.abs(answer - expected).max() <= TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("name", ["emotions", "splices", "notes"])
def test_files_of_others(name: str, protocol: str, clients: dict[str, Client]) -> None:
    case = cases()[name]
    (expected,) = case.reference(case.file, case.inputs)
    assert_alike(clients[protocol].predict(name, case.inputs)[case.output], expected)


def test_code_and_weights_of_others(clients: dict[str, Client]) -> None:
    random = np.random.default_rng(16)
    characters, kinds = (random.integers(0, most, (4, 21)).astype(np.float32) for most in (178, 12))
    expected = deepcut(file_of("deepcut", "weight", "cnn_without_ne_ab.h5")).predict([characters, kinds], verbose=0)
    answer = clients["grpc"].predict("words", {"characters": characters, "kinds": kinds})
    assert_alike(answer["begins"], expected)


def test_what_they_are(repository: Path) -> None:
    found = {name: inspect_model(repository / name) for name in ("emotions", "splices", "notes", "words")}
    shapes = {name: {each.alias: each.shape for each in model.signatures[0].inputs} for name, model in found.items()}
    assert shapes == {
        "emotions": {"face": (None, 64, 64, 1)},
        "splices": {"dna": (None, None, 4)},
        "notes": {"audio": (None, 43844, 1)},
        "words": {"characters": (None, 21), "kinds": (None, 21)},
    }
    for model in found.values():
        assert model.custom_ops == ()
        assert model.problems == ()
        assert model.signatures[0].batching is not None
        assert model.signatures[0].batching.possible


def test_a_saved_model_is_served_as_it_is(tmp_path: Path) -> None:
    """Of TensorFlow 2.4, without an export."""
    case = cases()["notes"]
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "1").symlink_to(case.file)
    (expected,) = case.reference(case.file, case.inputs)
    server = ServerProcess(["--model_name=notes", f"--model_base_path={tmp_path / 'notes'}"], tmp_path / "log")
    with server, Client(f"grpc://{server.grpc_target}") as client:
        assert_alike(client.predict("notes", {"input_2": case.inputs["audio"]})["note"], expected)


def test_models_of_tf_keras(tmp_path: Path) -> None:
    """The same file, loaded by the Keras of its time."""
    import tf_keras

    from tensorserve.export import export

    case = cases()["emotions"]
    model = tf_keras.models.load_model(case.file, compile=False)
    done = export(model, tmp_path / "emotions", inputs=["face"], outputs=["emotion"], samples=case.inputs)
    assert done.checked == ("serving_default",)
    two = [tf_keras.Input((3,), name="a"), tf_keras.Input((2,), dtype="int32", name="b")]
    words = tf_keras.layers.Flatten()(tf_keras.layers.Embedding(9, 2)(two[1]))
    joined = tf_keras.layers.Dense(2, name="y")(tf_keras.layers.Concatenate()([two[0], words]))
    done = export(tf_keras.Model(two, joined), tmp_path / "two", inputs={"x": "a", "w": "b"})
    assert [each.alias for each in done.model.signatures[0].inputs] == ["w", "x"]
    assert [each.alias for each in done.model.signatures[0].outputs] == ["y"]
    text = tf_keras.layers.TextVectorization(output_sequence_length=2)
    text.adapt(["a b c"])
    sequential = tf_keras.Sequential(
        [tf_keras.Input((), dtype="string", name="s"), text, tf_keras.layers.Embedding(9, 1)]
    )
    assert export(sequential, tmp_path / "text").checked == ("serving_default",)
