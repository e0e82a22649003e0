# SPDX-License-Identifier: Apache-2.0
"""Models that can be loaded and are odd: inputs and outputs that requests cannot carry, effects, many signatures.

Usage: ``python tests/models/odd_models.py FOLDER``. Needs TensorFlow and Keras 3.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

v1: Any = tf.compat.v1

WORDS = [tf.TensorSpec([None], tf.string, name="text")]
NUMBER = [tf.TensorSpec([], tf.int64, name="x")]
ROWS = [tf.TensorSpec([None], tf.float32, name="x")]


def save(module: tf.Module, path: Path, **signatures: Any) -> None:
    """Saves functions under their signature's names; each is also an attribute, so that it counts as tracked."""
    for name, function in signatures.items():
        setattr(module, f"function_{name}", function)
    tf.saved_model.save(module, str(path), signatures=signatures)


def composites(path: Path) -> None:
    """Signatures with ragged and sparse inputs and outputs beside plain ones."""

    @tf.function(input_signature=WORDS)
    def ragged_output(text: tf.Tensor) -> dict[str, Any]:
        return {"tokens": tf.strings.split(text), "length": tf.strings.length(text), "upper": tf.strings.upper(text)}

    @tf.function(input_signature=WORDS)
    def sparse_output(text: tf.Tensor) -> dict[str, Any]:
        return {"length": tf.strings.length(text), "table": tf.sparse.from_dense(tf.strings.length(text))}

    @tf.function(input_signature=WORDS)
    def only_ragged(text: tf.Tensor) -> dict[str, Any]:
        return {"tokens": tf.strings.split(text)}

    @tf.function(
        input_signature=[tf.RaggedTensorSpec([None, None], tf.float32), tf.TensorSpec([], tf.float32, name="b")]
    )
    def ragged_input(a: tf.RaggedTensor, b: tf.Tensor) -> dict[str, Any]:
        return {"y": b + tf.reduce_sum(a)}

    save(
        tf.Module(),
        path,
        serving_default=ragged_output,
        sparse_output=sparse_output,
        only_ragged=only_ragged,
        ragged_input=ragged_input,
    )


def missing(path: Path) -> None:
    """A graph of TensorFlow 1 whose signatures name tensors that it does not have."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], "x")
        y = tf.multiply(x, 2.0, "y")
        builder = v1.saved_model.builder.SavedModelBuilder(str(path))
        info = v1.saved_model.build_tensor_info

        def named(name: str) -> Any:
            changed = info(y)
            changed.name = name
            return changed

        def signature(inputs: Any, outputs: Any) -> Any:
            return v1.saved_model.build_signature_def(inputs, outputs, "tensorflow/serving/predict")

        signatures = {
            "serving_default": signature({"x": info(x)}, {"y": info(y), "gone": named("gone:0")}),
            "no_such_output": signature({"x": info(x)}, {"y": info(y), "third": named("y:3")}),
            "no_such_input": signature({"x": info(x), "z": named("z:0")}, {"y": info(y)}),
        }
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()


def stateful(path: Path) -> None:
    """Signatures that change `state`, each in a way of its own, and one, `read`, that gives it."""
    module = tf.Module()
    module.state = tf.Variable([7, 7, 7], dtype=tf.int64)
    handle = module.state.handle

    def skipped(x: tf.Tensor) -> None:
        tf.raw_ops.RngSkip(resource=handle, algorithm=tf.constant(1, tf.int64), delta=x + 1)

    def counted(x: tf.Tensor) -> None:
        module.state.assign_add(tf.fill([3], x + 1))

    def gathered(x: tf.Tensor) -> None:
        tf.raw_ops.ResourceScatterNdUpdate(ref=handle, indices=[[0]], updates=[x + 100])

    def drawn(x: tf.Tensor) -> None:
        tf.raw_ops.StatefulUniform(
            resource=handle, algorithm=tf.constant(1, tf.int64), shape=tf.reshape(x, [1]), dtype=tf.float32
        )

    def in_branch(x: tf.Tensor) -> None:
        tf.cond(x >= 0, lambda: module.state.assign_add([1, 1, 1]), lambda: module.state.assign_sub([1, 1, 1]))

    def in_loop(x: tf.Tensor) -> None:
        tf.while_loop(lambda n: n < 2, lambda n: n + tf.size(module.state.assign_add([1, 1, 1])), [tf.constant(0)])

    def written(x: tf.Tensor) -> None:
        tf.io.write_file(str(path.parent / "written"), tf.strings.as_string(x))

    def signature(change: Callable[[tf.Tensor], None]) -> Any:
        def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
            tf.function(change)(x)
            return {"y": tf.identity(x)}

        return tf.function(serve, input_signature=NUMBER)

    changes = {f.__name__: signature(f) for f in (skipped, counted, gathered, drawn, in_branch, in_loop, written)}
    read = tf.function(lambda x: {"state": module.state.read_value() + x}, input_signature=NUMBER)
    save(module, path, serving_default=changes.pop("skipped"), read=read, **changes)


def seeded(path: Path) -> None:
    """The numbers of a sequence with a seed, from its beginning; x is added."""
    tf.random.set_seed(3)
    module = tf.Module()

    @tf.function(input_signature=ROWS)
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x + tf.random.uniform([], seed=5)}

    save(module, path, serving_default=serve)


def many(path: Path) -> None:
    """400 signatures; `s7` adds 7."""

    def adds(number: int) -> Any:
        return tf.function(lambda x: {"y": x + float(number)}, input_signature=ROWS)

    save(tf.Module(), path, **{f"s{number}": adds(number) for number in range(400)})


def unset(path: Path) -> None:
    """A Keras 3 model saved by `tf.saved_model.save`, which does not save the variables that it reads."""
    import keras

    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    tf.saved_model.save(model, str(path))


def exported(path: Path) -> None:
    """The same model saved as Keras 3 means it to be."""
    import keras

    keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)]).export(str(path), verbose=False)


def _serve(compute: Callable[..., tf.Tensor], *inputs: tf.TensorSpec) -> Any:
    return tf.function(lambda *values: {"y": compute(*values)}, input_signature=inputs)


def _free(name: str, dtype: Any = tf.float32) -> tf.TensorSpec:
    return tf.TensorSpec(None, dtype, name=name)


def kernels(path: Path) -> None:
    """Signatures whose kernels end the process if an input has a rank, a size or a value that they do not expect."""
    module = tf.Module()
    module.kernel = tf.Variable(tf.ones([3, 3, 3, 4]))
    images = tf.TensorSpec([None, 8, 8, 3], tf.float32, name="x")
    volumes = tf.TensorSpec([None, None, None, None, 3], tf.float32, name="x")
    sizes = tf.TensorSpec([4], tf.int32, name="sizes")

    def depthwise(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.depthwise_conv2d(x, module.kernel, [1, 1, 1, 1], "SAME")

    def network(x: tf.Tensor) -> tf.Tensor:
        y = tf.nn.relu(tf.nn.conv2d(tf.pad(x / 255.0, [[0, 0], [1, 1], [1, 1], [0, 0]]), module.kernel, 1, "VALID"))
        return tf.reduce_mean(
            tf.nn.max_pool2d(y + tf.nn.conv2d(y, tf.ones([1, 1, 4, 4]), 1, "SAME"), 2, 2, "SAME"), [1, 2]
        )

    def inverse(x: tf.Tensor, sizes: tf.Tensor) -> tf.Tensor:
        return tf.signal.irfft2d(tf.cast(x, tf.complex64), sizes[:2])

    def scattered(x: tf.Tensor, sizes: tf.Tensor) -> tf.Tensor:
        return tf.tensor_scatter_nd_update(x, sizes, tf.ones([4]))

    def attention(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(tf.raw_ops.BatchMatMulV2(x=x, y=y) * 0.5 + tf.ones([1, 1, 3, 3]))

    save(
        module,
        path,
        serving_default=_serve(lambda x: tf.nn.conv2d(x, module.kernel, 1, "SAME"), images),
        depthwise=_serve(depthwise, images),
        network=_serve(network, images),
        flat=_serve(
            lambda x: tf.nn.conv1d(x, module.kernel[0], 1, "SAME"), tf.TensorSpec([None, 8, 3], tf.float32, name="x")
        ),
        volume=_serve(lambda x: tf.nn.conv3d(x, module.kernel[None], [1] * 5, "SAME"), volumes),
        pooled=_serve(lambda x: tf.nn.max_pool3d(x, 2, 2, "SAME") + tf.nn.avg_pool3d(x, 2, 2, "SAME"), volumes),
        transposed=_serve(lambda x, sizes: tf.nn.conv2d_transpose(x, module.kernel, sizes, 2), _free("x"), sizes),
        inverse=_serve(inverse, _free("x"), _free("sizes", tf.int32)),
        scattered=_serve(scattered, _free("x"), _free("sizes", tf.int32)),
        attention=_serve(attention, _free("x"), _free("y")),
    )


def operands(path: Path) -> None:
    """More of the kind, whose signatures say what they take, or take anything."""

    def masked(x: tf.Tensor, y: tf.Tensor, mask: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        # In a function of its own, as the layers of models are.
        scores = tf.function(lambda x, y: tf.raw_ops.BatchMatMulV2(x=x, y=y) * scale + mask, autograph=False)
        return tf.nn.softmax(scores(x, y))

    def adapted(x: tf.Tensor) -> tf.Tensor:
        # As an adapter of low rank: a product with a matrix, scaled, and added to something.
        return tf.raw_ops.BatchMatMulV2(x=x, y=tf.ones([3, 4])) * 0.5 + tf.ones([4])

    def joined(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        at, value = tf.constant([[0, 0]], tf.int64), tf.constant([1.0])
        return tf.raw_ops.SparseConcat(
            indices=[at, at], values=[value, value], shapes=[first, second], concat_dim=0
        ).output_shape

    def parsed(text: tf.Tensor, key: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.ParseExample(
            serialized=text,
            names=tf.constant([], tf.string),
            sparse_keys=[key],
            dense_keys=[other],
            dense_defaults=[tf.constant([7.0])],
            sparse_types=[tf.int64],
            dense_shapes=[[1]],
        ).dense_values[0]

    save(
        tf.Module(),
        path,
        masked=_serve(
            masked,
            tf.TensorSpec([None, 2, 3, 4], tf.float32, name="x"),
            tf.TensorSpec([None, 2, 4, 3], tf.float32, name="y"),
            tf.TensorSpec([None, 1, 3, 3], tf.float32, name="mask"),
            tf.TensorSpec([], tf.float32, name="scale"),
        ),
        adapted=_serve(adapted, tf.TensorSpec([None, None, 3], tf.float32, name="x")),
        joined=_serve(joined, _free("first", tf.int64), _free("second", tf.int64)),
        parsed=_serve(parsed, *(_free(name, tf.string) for name in ("text", "key", "other"))),
    )


def rows(path: Path) -> None:
    """A convolution whose requests may be merged; x is `[batch, 4, 4, 1]`."""
    module = tf.Module()
    module.kernel = tf.Variable(tf.ones([2, 2, 1, 1]))
    spec = [tf.TensorSpec([None, 4, 4, 1], tf.float32, name="x")]
    serve = tf.function(lambda x: {"y": tf.nn.conv2d(x, module.kernel, 1, "VALID")}, input_signature=spec)
    save(module, path, serving_default=serve)


def layers(path: Path) -> None:
    """Two convolutions in a graph of TensorFlow 1: `x`, `first` and `second`."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, None, None, 1], "x")
        first = tf.nn.conv2d(x, tf.ones([2, 2, 1, 1]), 1, "VALID", name="first")
        second = tf.nn.conv2d(tf.nn.relu(first, name="middle"), tf.ones([2, 2, 1, 1]), 1, "VALID", name="second")
        v1.saved_model.simple_save(session, str(path), {"x": x}, {"y": second})


MODELS: dict[str, Callable[[Path], None]] = {
    function.__name__: function
    for function in (*(composites, missing, stateful, seeded, many, unset, exported, kernels, operands, rows, layers),)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for name, exporter in MODELS.items():
        exporter(folder / name / "1")


if __name__ == "__main__":
    main()
