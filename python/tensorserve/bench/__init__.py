# SPDX-License-Identifier: Apache-2.0
"""`tensorserve bench`: what a model server can take, and how long its answers take.

The hot loop is Rust (`_core.LoadTest`, crate `loadgen`); here it is decided what is sent and what the numbers mean.
`measuring` is the file to read first; `search`, `comparison` and `sweep` run it many times. Works against any server of
the public APIs. May import `_core`, `warmup` (recorded requests) and `tensorserve_client`.
"""
