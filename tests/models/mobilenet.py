# SPDX-License-Identifier: Apache-2.0
"""`python tests/models/mobilenet.py FOLDER`: exports Keras's MobileNetV2 with random weights, whose input is `x`, float
`[batch, 224, 224, 3]`, and whose output is 1000 probabilities a row."""

import sys

import keras

if __name__ == "__main__":
    keras.utils.set_random_seed(7)
    image = keras.layers.Input((224, 224, 3), name="x")
    keras.applications.MobileNetV2(weights=None, input_tensor=image).export(sys.argv[1], verbose=False)
