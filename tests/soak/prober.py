# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.soak.prober GRPC_PORT REST_PORT FILE`: asks over both protocols until it is ended.

One line of JSON for each answer: when it was asked for (`time.monotonic`), the seconds it took, the protocol, and what
was wrong with it or null.
"""

import http.client
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import grpc

INTERVAL_SECONDS = 0.02
TIMEOUT_SECONDS = 15.0
# Requests that use one connection; then a new one has to be accepted.
REQUESTS_PER_CONNECTION = 25
PREDICT = "/tensorflow.serving.PredictionService/Predict"


@dataclass(frozen=True)
class Probe:
    """One answer: when it was asked for, seconds until it came, and what was wrong with it."""

    at: float
    seconds: float
    protocol: str
    wrong: str | None

    @staticmethod
    def read(path: Path) -> "list[Probe]":
        """All whole lines of a file."""
        text = path.read_text()
        return [Probe(**json.loads(line)) for line in text[: text.rfind("\n") + 1].splitlines()]


class Grpc:
    """Predict over gRPC on a channel of its own."""

    def __init__(self, port: int) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)])
        self._call = self._channel.unary_unary(PREDICT)

    def ask(self, x: float) -> float:
        from tensorserve import protos

        request = protos.PredictRequest(model_spec={"name": "half_plus_two"})
        request.inputs["x"].CopyFrom(protos.TensorProto(dtype=1, float_val=[x]))
        request.inputs["x"].tensor_shape.dim.add(size=1)
        reply = protos.PredictResponse.FromString(self._call(request.SerializeToString(), timeout=TIMEOUT_SECONDS))
        return float(reply.outputs["y"].float_val[0])

    def close(self) -> None:
        self._channel.close()


class Rest:
    """Predict in JSON on a connection of its own."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)

    def ask(self, x: float) -> float:
        body = json.dumps({"instances": [x]})
        self._connection.request("POST", "/v1/models/half_plus_two:predict", body)
        reply = self._connection.getresponse()
        text = reply.read().decode()
        if reply.status != 200:
            raise ValueError(f"{reply.status} {text}")
        return float(json.loads(text)["predictions"][0])

    def close(self) -> None:
        self._connection.close()


Client = Grpc | Rest


def probe_for_ever(name: str, connect: Callable[[], Client], write: Callable[[Probe], None]) -> None:
    """Asks at a steady rate; a slow answer delays the next question."""
    number = 0
    while True:
        client = connect()
        for _ in range(REQUESTS_PER_CONNECTION):
            number += 1
            x, begin, wrong = float(number % 1000), time.monotonic(), None
            try:
                answer = client.ask(x)
                if answer != x / 2 + 2:
                    wrong = f"{answer} for {x}"
            except (grpc.RpcError, OSError, http.client.HTTPException, ValueError) as error:
                wrong = repr(error)[:500]
            seconds = time.monotonic() - begin
            write(Probe(begin, seconds, name, wrong))
            if wrong:
                break
            time.sleep(max(0.0, INTERVAL_SECONDS - seconds))
        client.close()


def main() -> None:
    grpc_port, rest_port, file = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    lock = threading.Lock()
    with open(file, "w") as lines:
        connects = {"grpc": lambda: Grpc(grpc_port), "rest": lambda: Rest(rest_port)}
        threads = [
            threading.Thread(target=probe_for_ever, args=(name, connect, lambda probe: write(lines, lock, probe)))
            for name, connect in connects.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def write(lines: TextIO, lock: threading.Lock, probe: Probe) -> None:
    with lock:
        lines.write(json.dumps(vars(probe)) + "\n")
        lines.flush()


if __name__ == "__main__":
    main()
