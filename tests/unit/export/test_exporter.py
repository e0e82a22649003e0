# SPDX-License-Identifier: Apache-2.0
"""Every kind of model, every kind of signature."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensorserve.errors import Code, ServingError
from tensorserve.export import (
    Classify,
    ExportedVersion,
    FromReceiver,
    ImageBytes,
    Predict,
    Regress,
    ServingInputReceiver,
    WordPieces,
    build_parsing_serving_input_receiver_fn,
    build_raw_serving_input_receiver_fn,
    export,
)
from tests.unit.export.asking import ask

X = np.array([[1, 2, 3, 4], [4, 3, 2, 1]], np.float32)


def shape(done: ExportedVersion, signature: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Shapes of the inputs and outputs of a signature."""
    found = done.model.signatures[signature]
    inputs, outputs = ({each.alias: each.shape for each in tensors} for tensors in (found.inputs, found.outputs))
    return inputs, outputs


@pytest.fixture(scope="module")
def functional() -> Any:
    """Two inputs of different types, two outputs."""
    import keras

    keras.utils.set_random_seed(1)
    numbers, words = keras.Input((4,), name="numbers"), keras.Input((3,), dtype="int32", name="words")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(10, 2)(words))
    joined = keras.layers.Concatenate()([keras.layers.Dense(5)(numbers), embedded])
    scores = keras.layers.Dense(3, activation="softmax", name="scores")(joined)
    size = keras.layers.Dense(1, name="size")(joined)
    return keras.Model([numbers, words], [scores, size])


def examples(**features: Any) -> np.ndarray:
    """Two serialized examples, one of each row of the features."""
    import tensorflow as tf

    made = []
    for row in range(2):
        feature = {name: tf.train.Feature(float_list={"value": np.ravel(rows[row])}) for name, rows in features.items()}
        made.append(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return np.array(made, object)


def test_a_functional_model_by_names(functional: Any, tmp_path: Path) -> None:
    done = export(functional, tmp_path / "m", inputs={"x": "numbers", "w": "words"}, outputs=["p", "n"])
    assert (done.version, done.path, done.model.name) == (1, str(tmp_path / "m" / "1"), "m")
    assert shape(done) == ({"x": (None, 4), "w": (None, 3)}, {"p": (None, 3), "n": (None, 1)})
    words = np.array([[1, 2, 3], [4, 5, 6]], np.int32)
    scores, size = functional.predict([X, words], verbose=0)
    answer = ask(done, x=X, w=words)
    np.testing.assert_allclose(answer["p"], scores, rtol=1e-5)
    np.testing.assert_allclose(answer["n"], size, rtol=1e-5)
    assert done.checked == ("serving_default",)
    assert done.difference <= 1e-5
    assert export(functional, tmp_path / "m").version == 2


def test_the_summary_says_how_to_ask(functional: Any, tmp_path: Path) -> None:
    text = str(export(functional, tmp_path / "m", outputs=["scores"]))
    assert "checked: the answers of serving_default equal the model's" in text
    assert "tensorserve serve --rest_api_port=8501 --model_name=m" in text
    assert '"instances": [{"numbers": [1.0, 1.0, 1.0, 1.0], "words": [1, 1, 1]}]' in text


def test_a_sequential_model_of_a_file(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((4,), name="in"), keras.layers.Dense(2, name="out")])
    for suffix in ("keras", "h5"):
        model.save(tmp_path / f"model.{suffix}")
        done = export(tmp_path / f"model.{suffix}", tmp_path / suffix, inputs=["x"])
        assert shape(done)[0] == {"x": (None, 4)}
        np.testing.assert_allclose(next(iter(ask(done, x=X).values())), model.predict(X, verbose=0), rtol=1e-5)


def test_subclassed_models(tmp_path: Path) -> None:
    import keras

    class Pair(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, left: Any, right: Any) -> Any:
            return {"both": self.dense(left) + right, "right": right}

    model = Pair()
    with pytest.raises(ServingError, match="the inputs of Pair are not known"):
        export(model, tmp_path / "m")
    right = np.ones((2, 2), np.float32)
    done = export(model, tmp_path / "m", samples={"left": X, "right": right})
    np.testing.assert_allclose(ask(done, left=X, right=right)["both"], model(X, right)["both"], rtol=1e-5)
    samples = {"a": X, "b": right}
    done = export(model, tmp_path / "m", inputs=["a", "b"], outputs={"sum": "both"}, samples=samples)
    assert shape(done) == ({"a": (None, 4), "b": (None, 2)}, {"sum": (None, 2)})

    class One(keras.Model):  # type: ignore[misc]
        def call(self, x: Any, training: bool = False) -> Any:
            return -x

    one = One()
    one(X)
    done = export(one, tmp_path / "m", outputs=["y"])
    assert shape(done) == ({"x": (None, 4)}, {"y": (None, 4)})
    assert ask(done, x=X)["y"].tolist() == (-X).tolist()


def test_modules_and_functions(tmp_path: Path) -> None:
    import tensorflow as tf

    class Half(tf.Module):
        def __init__(self) -> None:
            self.factor = tf.Variable(0.5)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
        def serve(self, x: Any) -> Any:
            return {"y": self.factor * x}

        def double(self, x: Any) -> Any:
            return 2 * x

    x = np.array([1, 2], np.float32)
    module = Half()
    assert ask(export(module, tmp_path / "m"), x=x)["y"].tolist() == [0.5, 1]
    assert ask(export(module.serve, tmp_path / "m", inputs=["z"], outputs=["w"]), z=x)["w"].tolist() == [0.5, 1]
    spec = {"v": tf.TensorSpec([None], tf.float32)}
    doubled = export(
        module, tmp_path / "m", spec, ["y"], signatures={"serving_default": Predict(spec, ["y"], function="double")}
    )
    assert ask(doubled, v=x)["y"].tolist() == [2, 4]
    plain = export(lambda a, b: a - b, tmp_path / "m", {"a": spec["v"], "b": spec["v"]}, ["c"])
    assert ask(plain, a=x, b=x * 3)["c"].tolist() == [-2, -4]
    with pytest.raises(ServingError, match=r"the inputs of .* are not known"):
        export(lambda a: a, tmp_path / "m")
    with pytest.raises(ServingError, match="nothing that can be exported"):
        export(7, tmp_path / "m")


def test_saved_models_are_signed_again(models: Path, tmp_path: Path) -> None:
    done = export(models / "half_plus_two", tmp_path / "m", inputs={"input": "x"}, outputs={"output": "y"})
    assert shape(done) == ({"input": (None,)}, {"output": (None,)})
    assert ask(done, input=np.array([2], np.float32))["output"].tolist() == pytest.approx([0.5 * 2 + 5])
    named = export(
        models / "strings" / "1",
        tmp_path / "m",
        signatures={"serving_default": Predict(["t"], ["u"], function="binary")},
    )
    assert ask(named, t=["hi"])["u"].tolist() == [b"HI"]
    assert named.left_out == ("serving_default",)
    assert "left out: serving_default, which the SavedModel has as well" in str(named)
    assert "left out" not in str(done)
    with pytest.raises(ServingError, match="there is no signature none; the model has: binary, serving_default"):
        export(models / "strings", tmp_path / "m", signatures={"serving_default": Predict(function="none")})


def test_a_signature_that_refuses_made_up_inputs_says_why(models: Path, tmp_path: Path) -> None:
    asked = {"serving_default": Predict(function="classify")}
    done = export(models / "heads_tf2", tmp_path / "m", signatures=asked)
    assert "Feature: x (data type: float) is required but could not be found." in done.unchecked["serving_default"]


def test_classify_and_regress(functional: Any, tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((4,), name="pixels"), keras.layers.Dense(3, name="logits")])
    features = {"pixels": ("float32", [4])}
    signatures = {
        "best": Classify(features, labels=["red", "green", "blue"], from_logits=True, top_k=2),
        "numbers": Classify(features),
        "value": Regress({"p": ("float32", [4])}),
    }
    with pytest.raises(ServingError, match="has several outputs"):
        export(
            functional,
            tmp_path / "m",
            signatures={"r": Regress({"numbers": ("float32", [4]), "words": ("int64", [3])})},
        )
    one = keras.Sequential([keras.Input((4,), name="pixels"), keras.layers.Dense(1)])
    done = export(model, tmp_path / "m", signatures={name: signatures[name] for name in ("best", "numbers")})
    assert done.model.assets == ("assets/labels.txt",)
    assert {each.name: each.method for each in done.model.signatures} == {
        "serving_default": "predict",
        "best": "classify",
        "numbers": "classify",
    }
    logits = model.predict(X, verbose=0)
    answer = ask(done, "best", inputs=examples(pixels=X))
    order = (-logits).argsort(axis=1)[:, :2]
    assert answer["classes"].tolist() == [[[b"red", b"green", b"blue"][each] for each in row] for row in order]
    np.testing.assert_allclose(answer["scores"].sum(axis=1) <= 1, True)
    assert ask(done, "numbers", inputs=examples(pixels=X))["classes"][0].tolist() == [b"0", b"1", b"2"]
    value = ask(export(one, tmp_path / "m", signatures={"value": signatures["value"]}), "value", inputs=examples(p=X))
    np.testing.assert_allclose(value["outputs"], one.predict(X, verbose=0), rtol=1e-5)
    assert done.warmup_requests == 3


def test_serving_input_receiver_fn(tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(2)])

    def receive() -> ServingInputReceiver:
        text = tf.compat.v1.placeholder(tf.string, [None], "text")
        length = tf.cast(tf.strings.length(text), tf.float32)
        return ServingInputReceiver({"x": tf.stack([length] * 4, axis=1)}, {"text": text})

    raw = build_raw_serving_input_receiver_fn({"x": tf.TensorSpec([None, 4], tf.float32)})
    parsing = build_parsing_serving_input_receiver_fn({"x": tf.io.FixedLenFeature([4], tf.float32)})
    signatures = {
        "serving_default": FromReceiver(receive, ["y"]),
        "raw": FromReceiver(raw, ["y"]),
        "parsing": FromReceiver(parsing, ["y"]),
    }
    done = export(model, tmp_path / "m", signatures=signatures)
    expected = model.predict(np.full((1, 4), 5, np.float32), verbose=0)
    np.testing.assert_allclose(ask(done, text=["12345"])["y"], expected, rtol=1e-5)
    np.testing.assert_allclose(ask(done, "raw", x=X)["y"], model.predict(X, verbose=0), rtol=1e-5)
    np.testing.assert_allclose(
        ask(done, "parsing", examples=examples(x=X))["y"], model.predict(X, verbose=0), rtol=1e-5
    )
    with pytest.raises(ServingError, match="gives no feature for input"):
        export(
            lambda a, b: a,
            tmp_path / "m",
            {"a": tf.TensorSpec([None]), "b": tf.TensorSpec([None])},
            signatures={"s": FromReceiver(parsing)},
        )


def test_pictures_become_pixels(tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    model = keras.Sequential([keras.Input((2, 2, 3), name="pixels"), keras.layers.Flatten(name="flat")])
    done = export(
        model, tmp_path / "m", {"image_bytes": "pixels"}, preprocess={"image_bytes": ImageBytes(scale=1 / 255)}
    )
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    picture = tf.io.encode_png(pixels).numpy()
    answer = ask(done, image_bytes=[picture, picture])["flat"]
    np.testing.assert_allclose(answer[1], pixels.ravel() / 255, atol=1e-6)
    assert "b64" in done.curl
    any_size = keras.Sequential([keras.Input((None, None, 3), name="pixels"), keras.layers.GlobalAveragePooling2D()])
    with pytest.raises(ServingError, match=r"say it: ImageBytes\(height, width"):
        export(any_size, tmp_path / "m", ["i"], preprocess={"i": ImageBytes()})
    with pytest.raises(ServingError, match="there is no input other to preprocess"):
        export(model, tmp_path / "m", preprocess={"other": ImageBytes()})


def test_tokens_need_tensorflow_text(tmp_path: Path) -> None:
    import importlib.util

    import keras

    if importlib.util.find_spec("tensorflow_text"):
        pytest.skip("it is installed; tests/accept/test_sdk.py uses it")
    model = keras.Sequential([keras.Input((5,), dtype="int32", name="ids"), keras.layers.Embedding(9, 2)])
    with pytest.raises(ServingError, match="pip install tensorflow-text"):
        export(model, tmp_path / "m", ["text"], preprocess={"text": WordPieces(tmp_path / "vocabulary.txt")})


def test_text_models_keep_their_tables(tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    vectorize = keras.layers.TextVectorization(output_sequence_length=4, vocabulary=["good", "bad"])
    layers = [
        keras.Input((), dtype="string", name="text"),
        vectorize,
        keras.layers.Embedding(5, 1),
        keras.layers.Flatten(),
    ]
    model = keras.Sequential(layers)
    done = export(model, tmp_path / "m")
    text = np.array(["good bad", "none"], object)
    expected = model(tf.constant(text)).numpy()
    np.testing.assert_allclose(next(iter(ask(done, text=text).values())), expected)


def test_a_model_that_answers_otherwise_is_not_published(tmp_path: Path) -> None:
    import tensorflow as tf

    noise = tf.function(lambda x: x + tf.cast(tf.timestamp() % 1, tf.float32))
    spec = {"x": tf.TensorSpec([None], tf.float32)}
    with pytest.raises(ServingError, match="answers otherwise than the model") as caught:
        export(noise, tmp_path / "m", spec)
    assert caught.value.code is Code.INTERNAL
    assert not (tmp_path / "m").exists()
    assert export(noise, tmp_path / "m", spec, compare=False).checked == ()


def test_keras_on_another_backend(functional: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ServingError, match=r"Keras runs on jax in this process. Save the model"):
        export(functional, tmp_path / "m")


def test_samples_that_do_not_fit(functional: Any, tmp_path: Path) -> None:
    with pytest.raises(
        ServingError, match="the samples are of a, but no signature has these inputs; there are: numbers, words"
    ):
        export(functional, tmp_path / "m", samples={"a": X})
    with pytest.raises(ServingError, match="has the shape"):
        export(functional, tmp_path / "m", samples={"numbers": X[:, :3], "words": X[:, :3]})


def test_odd_names_of_inputs(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(2, name="y")])
    done = export(model, tmp_path / "m", inputs=["my-input/1"], outputs=["out put"])
    assert shape(done) == ({"my-input/1": (None, 4)}, {"out put": (None, 2)})


def test_variables_are_written_once(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((100,), name="x"), keras.layers.Dense(100, name="y")])
    done = export(model, tmp_path / "m")
    assert done.model.variables is not None
    assert done.model.variables.elements == {"float32": 100 * 100 + 100}
