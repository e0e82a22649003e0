# SPDX-License-Identifier: Apache-2.0
"""Exports are made in the process of the tests, which imports TensorFlow once."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
