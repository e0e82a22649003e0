# SPDX-License-Identifier: Apache-2.0
"""`python tests/models/large_model.py FOLDER`: writes a SavedModel with 500 MB of variables. Imports TensorFlow."""

import sys
from typing import Any

import tensorflow as tf

VARIABLES = 8
FLOATS_EACH = 500_000_000 // VARIABLES // 4


class Large(tf.Module):
    """y = x / 2 plus one value of each variable."""

    def __init__(self) -> None:
        self.variables_used = [
            tf.Variable(tf.random.stateless_uniform([FLOATS_EACH], seed=[7, number])) for number in range(VARIABLES)
        ]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def serve(self, x: Any) -> dict[str, Any]:
        return {"y": x * 0.5 + tf.add_n([variable[0] for variable in self.variables_used])}


if __name__ == "__main__":
    module = Large()
    tf.saved_model.save(module, sys.argv[1], signatures={"serving_default": module.serve})
