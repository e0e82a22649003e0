# SPDX-License-Identifier: Apache-2.0
"""Logs of requests and their answers, as `logging_config` of a model's configuration asks for them.

The data plane leaves sampled requests in a queue; `request_logs` takes them from there on a thread of its own and is
the first file to read. A `collector` keeps them: `file_collector` in files, others by the entry point group
`tensorserve.log_collectors`, where a name is a type and the object is a callable that takes a `LoggingConfig` and the
`ServerOptions` and gives a `LogCollector`. Depends on `config`, `types`, `errors` and the data plane.
"""
