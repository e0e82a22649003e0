# SPDX-License-Identifier: Apache-2.0
"""Hostile clients: `python -m tests.soak.attackers KIND GRPC_PORT REST_PORT SECONDS` is one attack in its own process.

`attack.py` keeps a population of connections in one thread that spends little; `kinds.py` says what each kind sends,
`frames.py` makes HTTP/2 frames that no honest library sends.
"""
