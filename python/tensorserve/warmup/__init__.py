# SPDX-License-Identifier: Apache-2.0
"""Requests that a version runs before it is served, so that no client waits for what only a first run does.

`model_warmup` decides what a version runs and is the first file to read; the requests themselves run in the data plane.
`recording` makes warm-up files, `records` reads them. Depends on `lifecycle.loader`, `config`, `protos`, `errors` and
the data plane; called by the server and by `tensorserve warmup`.
"""
