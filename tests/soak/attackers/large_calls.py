# SPDX-License-Identifier: Apache-2.0
"""Calls of 30 MB over gRPC, one after another, by an honest client: only that obeys flow control."""

import threading

import grpc

from tests.soak.attackers.kinds import PREDICT, echo_message

FLOATS = 7_500_000
PAUSE_SECONDS = 1.0
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def call_until(stop: threading.Event, port: int) -> None:
    """Sends large calls; their answers are not looked at, as the server may refuse them."""
    request = echo_message(FLOATS)
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=UNLIMITED) as channel:
        call = channel.unary_unary(PREDICT)
        while not stop.wait(PAUSE_SECONDS):
            try:
                call(request, timeout=20)
            except grpc.RpcError:
                continue
