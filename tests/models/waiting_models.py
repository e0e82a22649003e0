# SPDX-License-Identifier: Apache-2.0
"""Models whose runs wait for other runs; `python tests/models/waiting_models.py FOLDER` writes them.

Each has the signatures `take` (it waits while there is nothing), `put` and `double`; `full` has room for one value, so
that its `put` waits. A signature takes `x`, a float, and gives `y`.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import data_flow_ops

v1: Any = tf.compat.v1

# Makes the op that puts x, and the value that is taken.
Build = Callable[[Any], tuple[Any, Any]]


def of_queue(queue: Any, x: Any) -> tuple[Any, Any]:
    return queue.enqueue(x), queue.dequeue()


def fifo(x: Any) -> tuple[Any, Any]:
    return of_queue(tf.queue.FIFOQueue(100, tf.float32, shapes=[()], shared_name="fifo"), x)


def full(x: Any) -> tuple[Any, Any]:
    return of_queue(tf.queue.FIFOQueue(1, tf.float32, shapes=[()], shared_name="full"), x)


def shuffle(x: Any) -> tuple[Any, Any]:
    return of_queue(tf.queue.RandomShuffleQueue(100, 0, tf.float32, shapes=[()], shared_name="shuffle"), x)


def priority(x: Any) -> tuple[Any, Any]:
    queue = tf.queue.PriorityQueue(100, [tf.float32], [()], shared_name="priority")
    return queue.enqueue((tf.constant(1, tf.int64), x)), queue.dequeue()[1]


def barrier(x: Any) -> tuple[Any, Any]:
    barrier = data_flow_ops.Barrier(tf.float32, shapes=(), shared_name="barrier")
    key = tf.strings.as_string(tf.random.uniform([], 0, 1 << 60, tf.int64))
    return barrier.insert_many(0, [key], [x]), barrier.take_many(1)[2][0][0]


def staging(x: Any) -> tuple[Any, Any]:
    area = data_flow_ops.StagingArea([tf.float32], shapes=[()], shared_name="staging")
    return area.put([x]), area.get()[0]


KINDS: dict[str, Build] = {
    function.__name__: function for function in (fifo, full, shuffle, priority, barrier, staging)
}


def export(name: str, path: Path) -> None:
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [], name="x")
        put, taken = KINDS[name](x)
        with tf.control_dependencies([put]):
            added = tf.identity(x)
        info = v1.saved_model.utils.build_tensor_info

        def signature(y: Any) -> Any:
            define = v1.saved_model.signature_def_utils.build_signature_def
            return define({"x": info(x)}, {"y": info(y)}, "tensorflow/serving/predict")

        builder = v1.saved_model.Builder(str(path))
        signatures = {"take": signature(taken), "put": signature(added), "double": signature(x * 2)}
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures)
        builder.save()


def export_sized(path: Path) -> None:
    """As many numbers as are asked for: eight bytes of input can ask for any memory."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([], tf.int64, name="n")])
    def serve(n: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.reduce_sum(tf.fill([n], tf.cast(n, tf.float32) * 0 + 1.5))}

    module.serve = serve
    tf.saved_model.save(module, str(path), signatures={"serving_default": serve})


if __name__ == "__main__":
    target = Path(sys.argv[1])
    for kind in KINDS:
        export(kind, target / kind / "1")
    export_sized(target / "sized" / "1")
