# SPDX-License-Identifier: Apache-2.0
"""Which threads compute, as measured or as flags say."""

from pathlib import Path

import numpy as np
import pytest

from tests.clients import GrpcClient, RestClient, predict_request
from tests.conftest import ServeModels
from tests.models import cache


def test_a_chosen_number_of_threads_is_for_every_model(models: Path, serve_models: ServeModels) -> None:
    server = serve_models({"mlp": models / "mlp"}, "--tensorflow_intra_op_parallelism=2")
    rest = RestClient(server.rest_url)
    (version,) = rest.get("/v1/admin/models/mlp/batching").json()["versions"]
    assert version["mode"] == "off"
    assert version["computes_in"] == "the pool that all models share"
    rest.close()


@pytest.mark.parametrize(
    ("flags", "threads"),
    [
        ((), None),
        (("--inter_op_threading=caller",), "caller"),
        (("--inter_op_threading=pool",), "pool"),
        (("--tensorflow_inter_op_parallelism=2",), "pool"),
    ],
)
def test_where_long_runs_happen_is_measured_or_said(
    flags: tuple[str, ...], threads: str | None, serve_models: ServeModels
) -> None:
    server = serve_models({"wide_mlp": cache.exported(cache.BATCHING) / "wide_mlp"}, *flags)
    rest, client = RestClient(server.rest_url), GrpcClient(server.grpc_target)
    request = predict_request("wide_mlp", {"x": np.linspace(-1, 1, 784, dtype=np.float32).reshape(1, 784)})
    answers = client.prediction.Predict(request, 30).outputs["y"]
    again = client.prediction.Predict(request, 30).outputs["y"]
    assert answers == again
    (version,) = rest.get("/v1/admin/models/wide_mlp/batching").json()["versions"]
    assert version["inter_op_threading"] in ([threads] if threads else ["caller", "pool"])
    rest.close()
    client.close()
