# SPDX-License-Identifier: Apache-2.0
"""Keeps a server up: a small parent process that owns the sockets, and starts the server anew when it dies or hangs.

`supervisor` is the parent's loop and the file to read first; `supervised` is the server's end of it. Between the two
are the sockets, a channel of messages (`channel`), the server's standard error (`output`), and a page of memory in
which the server says what it is about to run (`attribution`), so that a death can be laid at a model's door.

Nothing here imports TensorFlow or `_core`, and few modules of Python: the parent is to stay small. Depends on `config`,
`listeners`, `log` and `errors`.
"""
