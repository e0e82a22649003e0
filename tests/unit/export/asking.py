# SPDX-License-Identifier: Apache-2.0
"""Asks a version that was exported, without a server."""

from typing import Any

import numpy as np

from tensorserve.export import ExportedVersion


def ask(done: ExportedVersion, signature: str = "serving_default", **inputs: Any) -> dict[str, np.ndarray]:
    """What a version answers, loaded by TensorFlow."""
    import tensorflow as tf

    loaded = tf.saved_model.load(done.path)
    outputs = loaded.signatures[signature](**{alias: tf.constant(value) for alias, value in inputs.items()})
    return {alias: value.numpy() for alias, value in outputs.items()}
