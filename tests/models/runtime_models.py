# SPDX-License-Identifier: Apache-2.0
"""Exports the SavedModels (and one custom op) that the tests of the TensorFlow runtime load.

Usage: ``python tests/models/runtime_models.py FOLDER``. Needs TensorFlow and a C compiler. Every model gets a folder of
its own under FOLDER; a folder that exists is replaced.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
SIGNATURE = "serving_default"

# Every element type that a request can carry, and those of newer TensorFlow releases that a model may use.
ELEMENT_TYPES = [
    *("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("bool", "float16", "bfloat16", "complex64", "complex128", "string"),
    *("qint8", "quint8", "qint16", "quint16", "qint32"),
    *("float8_e5m2", "float8_e4m3fn", "int4", "uint4"),
]

# y = 3 x, as an op of its own over TensorFlow's C interface for ops. It declares what it calls, because TensorFlow's
# headers for it are not plain C.
CUSTOM_OP_SOURCE = """
#include <stddef.h>
#include <stdint.h>

typedef struct TF_Status TF_Status;
typedef struct TF_Tensor TF_Tensor;
typedef struct TF_OpKernelContext TF_OpKernelContext;
typedef struct TF_OpDefinitionBuilder TF_OpDefinitionBuilder;
typedef struct TF_KernelBuilder TF_KernelBuilder;
typedef struct TF_ShapeInferenceContext TF_ShapeInferenceContext;
enum { TF_FLOAT = 1 };

TF_Status* TF_NewStatus(void);
void TF_DeleteStatus(TF_Status*);
void TF_GetInput(TF_OpKernelContext*, int, TF_Tensor**, TF_Status*);
TF_Tensor* TF_AllocateOutput(TF_OpKernelContext*, int, int, const int64_t*, int, size_t, TF_Status*);
int TF_NumDims(const TF_Tensor*);
int64_t TF_Dim(const TF_Tensor*, int);
size_t TF_TensorByteSize(const TF_Tensor*);
int64_t TF_TensorElementCount(const TF_Tensor*);
void* TF_TensorData(const TF_Tensor*);
void TF_DeleteTensor(TF_Tensor*);
TF_OpDefinitionBuilder* TF_NewOpDefinitionBuilder(const char*);
void TF_OpDefinitionBuilderAddInput(TF_OpDefinitionBuilder*, const char*);
void TF_OpDefinitionBuilderAddOutput(TF_OpDefinitionBuilder*, const char*);
void TF_OpDefinitionBuilderSetShapeInferenceFunction(TF_OpDefinitionBuilder*,
                                                     void (*)(TF_ShapeInferenceContext*, TF_Status*));
void TF_ShapeInferenceContextSetUnknownShape(TF_ShapeInferenceContext*, TF_Status*);
void TF_RegisterOpDefinition(TF_OpDefinitionBuilder*, TF_Status*);
TF_KernelBuilder* TF_NewKernelBuilder(const char*, const char*, void* (*)(void*), void (*)(void*, TF_OpKernelContext*),
                                      void (*)(void*));
void TF_RegisterKernelBuilder(const char*, TF_KernelBuilder*, TF_Status*);

static void Compute(void* kernel, TF_OpKernelContext* context) {
  TF_Status* status = TF_NewStatus();
  TF_Tensor* input = NULL;
  TF_GetInput(context, 0, &input, status);
  int64_t dims[8];
  int rank = TF_NumDims(input);
  for (int i = 0; i < rank; ++i) dims[i] = TF_Dim(input, i);
  TF_Tensor* output = TF_AllocateOutput(context, 0, TF_FLOAT, dims, rank, TF_TensorByteSize(input), status);
  const float* x = TF_TensorData(input);
  float* y = TF_TensorData(output);
  for (int64_t i = 0; i < TF_TensorElementCount(input); ++i) y[i] = 3 * x[i];
  TF_DeleteTensor(input);
  TF_DeleteTensor(output);
  TF_DeleteStatus(status);
}

__attribute__((constructor)) static void Register(void) {
  TF_Status* status = TF_NewStatus();
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder("TensorserveTriple");
  TF_OpDefinitionBuilderAddInput(op, "x: float");
  TF_OpDefinitionBuilderAddOutput(op, "y: float");
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, TF_ShapeInferenceContextSetUnknownShape);
  TF_RegisterOpDefinition(op, status);
  TF_RegisterKernelBuilder("TensorserveTriple", TF_NewKernelBuilder("TensorserveTriple", "CPU", NULL, Compute, NULL),
                           status);
  TF_DeleteStatus(status);
}
"""


def signature(inputs: dict[str, Any], outputs: dict[str, Any]) -> Any:
    """A predict signature over graph tensors, by alias."""
    return v1.saved_model.build_signature_def(
        {alias: v1.saved_model.build_tensor_info(tensor) for alias, tensor in inputs.items()},
        {alias: v1.saved_model.build_tensor_info(tensor) for alias, tensor in outputs.items()},
        "tensorflow/serving/predict",
    )


def export_graph(
    folder: Path, build: Callable[[], dict[str, Any]], extras: Callable[[], dict[str, Any]] = dict
) -> None:
    """Exports the signatures that ``build`` makes in a fresh graph, the way TensorFlow 1 did.

    ``extras`` is called in the same graph and gives further arguments for the meta graph.
    """
    with v1.Graph().as_default(), v1.Session() as session:
        signatures = build()
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], signatures, **extras())
        builder.save()


def half_plus_two(folder: Path) -> None:
    """y = 0.5 x + 2 with two variables, as TensorFlow 2 exports it."""

    class HalfPlusTwo(tf.Module):
        def __init__(self) -> None:
            self.a = tf.Variable(0.5)
            self.b = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def serve(self, x: Any) -> dict[str, Any]:
            return {"y": self.a * x + self.b}

    module = HalfPlusTwo()
    tf.saved_model.save(module, str(folder), signatures={SIGNATURE: module.serve})


def large_variable(folder: Path) -> None:
    """y = sum(x W) with a W of 8 MiB, so that a session that is not freed shows."""

    class Large(tf.Module):
        def __init__(self) -> None:
            self.weights = tf.Variable(tf.random.stateless_normal([1024, 2048], seed=[1, 2]))

        @tf.function(input_signature=[tf.TensorSpec([None, 1024], tf.float32, name="x")])
        def serve(self, x: Any) -> dict[str, Any]:
            return {"y": tf.reduce_sum(tf.matmul(x, self.weights), axis=1)}

    module = Large()
    tf.saved_model.save(module, str(folder), signatures={SIGNATURE: module.serve})


def identities(folder: Path) -> None:
    """One signature for each element type, named after it, of any shape: y = x."""

    def build() -> dict[str, Any]:
        signatures = {}
        for name in ELEMENT_TYPES:
            dtype = tf.dtypes.as_dtype(name)
            x = v1.placeholder(dtype, shape=None, name=f"{name}_x")
            signatures[name] = signature({"x": x}, {"y": tf.raw_ops.Identity(input=x, name=f"{name}_y")})
        return signatures

    export_graph(folder, build)


def strings(folder: Path) -> None:
    """Ops over strings: upper case, joined with a comma, length in bytes, and a pick of some elements."""

    def build() -> dict[str, Any]:
        x = v1.placeholder(tf.string, shape=[None], name="x")
        keep = v1.placeholder(tf.int32, shape=[None], name="keep")
        return {
            "upper": signature({"x": x}, {"y": tf.strings.upper(x, name="upper")}),
            "join": signature({"x": x}, {"y": tf.strings.reduce_join(x, separator=",", name="join")}),
            "length": signature({"x": x}, {"y": tf.strings.length(x, name="length")}),
            "gather": signature({"x": x, "keep": keep}, {"y": tf.gather(x, keep, name="gather")}),
        }

    export_graph(folder, build)


def scalars(folder: Path) -> None:
    """A product of scalars, and a constant without any input."""

    def build() -> dict[str, Any]:
        a = v1.placeholder(tf.float32, shape=[], name="a")
        b = v1.placeholder(tf.float32, shape=[], name="b")
        return {
            "product": signature({"a": a, "b": b}, {"y": tf.multiply(a, b, name="product")}),
            "constant": signature({}, {"y": tf.constant(42, tf.int64, name="constant")}),
        }

    export_graph(folder, build)


def tf1_assets(folder: Path) -> None:
    """Reference variables, a lookup table over a vocabulary asset, and a main op that fills the table."""
    vocabulary = folder.with_name("vocabulary.txt")
    vocabulary.write_text("red\ngreen\nblue\n", encoding="utf-8")

    def build() -> dict[str, Any]:
        asset = tf.constant(str(vocabulary), name="vocabulary")
        table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                asset, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
            ),
            default_value=-1,
        )
        words = v1.placeholder(tf.string, shape=[None], name="words")
        x = v1.placeholder(tf.float32, shape=[None], name="x")
        scale = v1.get_variable("scale", initializer=np.float32(3), use_resource=False)
        count = v1.get_variable("count", initializer=np.float32([0, 0]), use_resource=False)
        step = v1.placeholder(tf.float32, shape=[2], name="step")
        return {
            "lookup": signature({"words": words}, {"index": table.lookup(words)}),
            "scale": signature({"x": x}, {"y": tf.multiply(scale, x, name="scaled")}),
            "reference": signature({}, {"scale": scale}),
            "count": signature({"step": step}, {"count": v1.assign_add(count, step, name="counted")}),
        }

    def extras() -> dict[str, Any]:
        return {
            "assets_collection": v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            "main_op": v1.tables_initializer(name="fill_tables"),
        }

    export_graph(folder, build, extras)
    vocabulary.unlink()  # Only the copy among the model's assets may be used.


def several_outputs(folder: Path) -> None:
    """One input, three outputs of different types, from ops with one and with two outputs."""

    def build() -> dict[str, Any]:
        x = v1.placeholder(tf.float32, shape=[None], name="x")
        values, indices = tf.math.top_k(x, k=2, name="top")
        return {
            SIGNATURE: signature({"x": x}, {"values": values, "indices": indices, "text": tf.as_string(x, name="text")})
        }

    export_graph(folder, build)


def matmul(folder: Path) -> None:
    """c = a b of matrices whose sizes only the op checks."""

    def build() -> dict[str, Any]:
        a = v1.placeholder(tf.float32, shape=[None, None], name="a")
        b = v1.placeholder(tf.float32, shape=[None, None], name="b")
        return {SIGNATURE: signature({"a": a, "b": b}, {"c": tf.matmul(a, b, name="mm")})}

    export_graph(folder, build)


def endless(folder: Path) -> None:
    """Counts to n: a run as long as a test wants, for time limits."""

    def build() -> dict[str, Any]:
        n = v1.placeholder(tf.int64, shape=[], name="n")
        counted = v1.while_loop(lambda i: i < n, lambda i: i + 1, [tf.constant(0, tf.int64)])
        return {SIGNATURE: signature({"n": n}, {"count": tf.identity(counted, name="count")})}

    export_graph(folder, build)


def resource_output(folder: Path) -> None:
    """An output that is a handle, which has no value outside its session."""

    def build() -> dict[str, Any]:
        handle = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[], shared_name="held", name="held")
        return {SIGNATURE: signature({}, {"handle": handle})}

    export_graph(folder, build)


def several_tags(folder: Path) -> None:
    """Two meta graphs: tags {serve} add 1, tags {serve, gpu} add 2."""
    builder = v1.saved_model.Builder(str(folder))
    for tags, added in ((["serve"], 1.0), (["serve", "gpu"], 2.0)):
        with v1.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, shape=[None], name="x")
            offset = v1.get_variable("offset", initializer=np.float32(0))
            y = tf.add(x + offset, added, name="y")
            signatures = {SIGNATURE: signature({"x": x}, {"y": y})}
            session.run(v1.global_variables_initializer())
            if added == 1.0:
                builder.add_meta_graph_and_variables(session, tags, signatures)
            else:
                builder.add_meta_graph(tags, signatures)
    builder.save()


def custom_op(folder: Path) -> None:
    """A library with the op TensorserveTriple (``libtriple.so``), and a model that uses it (``model``)."""
    folder.mkdir(parents=True)
    source, library = folder / "triple.c", folder / "libtriple.so"
    source.write_text(CUSTOM_OP_SOURCE, encoding="utf-8")
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-Wall", "-o", str(library), str(source), *tf.sysconfig.get_link_flags()], check=True
    )
    ops = tf.load_op_library(str(library))

    def build() -> dict[str, Any]:
        x = v1.placeholder(tf.float32, shape=[None], name="x")
        return {SIGNATURE: signature({"x": x}, {"y": ops.tensorserve_triple(x=x, name="y")})}

    export_graph(folder / "model", build)


def convolutions(folder: Path) -> None:
    """Signatures of TensorFlow 2 that convolve x, `[n, height, width, 1]`, with a kernel of ones, 2 by 2."""
    module = tf.Module()
    module.kernel = tf.Variable(tf.ones([2, 2, 1, 1]))
    images = [tf.TensorSpec([None, None, None, 1], tf.float32, name="x")]

    def convolve(x: Any) -> Any:
        return tf.nn.relu(tf.nn.conv2d(x, module.kernel, 1, "VALID"))

    def padded(x: Any) -> Any:
        return tf.nn.conv2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), module.kernel, 1, "VALID")

    def looped(x: Any) -> Any:
        return tf.while_loop(
            lambda _, n: n < 2,
            lambda y, n: (convolve(y), n + 1),
            [x, 0],
            [tf.TensorShape([None] * 4), tf.TensorShape([])],
        )[0]

    def branched(x: Any) -> Any:
        return tf.cond(tf.reshape(x, [-1])[0] > 0, lambda: convolve(x), lambda: x)

    def flat(x: Any) -> Any:
        return tf.nn.conv1d(x, module.kernel[0], 1, "VALID")

    def transposed(x: Any, sizes: Any) -> Any:
        return tf.nn.conv2d_transpose(x, module.kernel, tf.cast(sizes, tf.int32), 1, "VALID")

    def scattered(x: Any, at: Any) -> Any:
        return tf.tensor_scatter_nd_add(x, at, tf.ones([1, 1]))

    def serve(compute: Callable[..., Any], *inputs: Any) -> Any:
        return tf.function(lambda *values: {"y": compute(*values)}, input_signature=inputs)

    sizes, at = tf.TensorSpec([4], tf.int64, name="sizes"), tf.TensorSpec([1, 1], tf.int64, name="at")
    signatures = {
        "convolve": serve(convolve, *images),
        "nested": serve(tf.function(tf.function(convolve)), *images),
        "padded": serve(padded, *images),
        "looped": serve(looped, *images),
        "branched": serve(branched, *images),
        "flat": serve(flat, tf.TensorSpec([None, None, 1], tf.float32, name="x")),
        "transposed": serve(transposed, *images, sizes),
        "scattered": serve(scattered, tf.TensorSpec([None, 1], tf.float32, name="x"), at),
    }
    for name, function in signatures.items():
        setattr(module, name, function)
    tf.saved_model.save(module, str(folder), signatures=signatures)


def graph_convolutions(folder: Path) -> None:
    """Two convolutions with kernels of ones, 2 by 2, as a graph of TensorFlow 1; a loop and the first alone as well."""

    def build() -> dict[str, Any]:
        x = v1.placeholder(tf.float32, shape=[None, None, None, 1], name="x")
        kernel = v1.get_variable("kernel", initializer=tf.ones([2, 2, 1, 1]), use_resource=False)
        first = tf.nn.conv2d(x, kernel, 1, "VALID", name="first")
        second = tf.nn.conv2d(tf.nn.relu(first), kernel, 1, "VALID", name="second")
        v1.disable_control_flow_v2()
        loop = v1.while_loop(
            lambda _, n: n < 2,
            lambda y, n: (tf.nn.conv2d(y, kernel, 1, "VALID"), n + 1),
            [x, tf.constant(0)],
            [tf.TensorShape([None] * 4), tf.TensorShape([])],
        )[0]
        v1.enable_control_flow_v2()
        outputs = {"second": second, "first": first, "loop": loop, "size": tf.size(x)}
        return {name: signature({"x": x}, {"y": y}) for name, y in outputs.items()}

    export_graph(folder, build)


MODELS: list[Callable[[Path], None]] = [
    *(half_plus_two, large_variable, identities, strings, scalars, tf1_assets, several_outputs, matmul, endless),
    *(resource_output, several_tags, custom_op, convolutions, graph_convolutions),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the models go")
    folder: Path = parser.parse_args().folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    for model in MODELS:
        target = folder / model.__name__
        shutil.rmtree(target, ignore_errors=True)
        model(target)


if __name__ == "__main__":
    main()
