# SPDX-License-Identifier: Apache-2.0
"""Calls of TensorFlow's ops that are right, by family: what the abort fuzzer bends out of shape."""

from tests.soak.recipes import images, layers, lists, networks, ragged, shapes, texts
from tests.soak.recipes.values import Recipe

ALL: list[Recipe] = [
    recipe for module in (images, layers, lists, networks, ragged, shapes, texts) for recipe in module.recipes()
]
