# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from tensorserve.config.flags import ServerOptions
from tensorserve.config.monitoring_config import metrics_paths
from tensorserve.errors import Code, ServingError


def path_by(file: Path, text: str, **flags: bool) -> str | None:
    file.write_text(text)
    return metrics_paths(ServerOptions(monitoring_config_file=str(file), **flags))[1]  # type: ignore[arg-type]


def test_without_a_file_the_flag_decides() -> None:
    assert metrics_paths(ServerOptions()) == ("/metrics", "/monitoring/prometheus/metrics")
    assert metrics_paths(ServerOptions(enable_metrics=False)) == (None, None)


def test_a_file_may_take_our_path(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text('prometheus_config { enable: true path: "/metrics" }')
    assert metrics_paths(ServerOptions(monitoring_config_file=str(file))) == (None, "/metrics")
    file.write_text("prometheus_config { }")
    assert metrics_paths(ServerOptions(monitoring_config_file=str(file))) == ("/metrics", None)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("prometheus_config { enable: true }", "/monitoring/prometheus/metrics"),
        ('prometheus_config { enable: true path: "/v1/m" }', "/v1/m"),
        ('prometheus_config { path: "/m" }', None),
        (" ", None),
    ],
)
def test_a_file_decides(tmp_path: Path, text: str, path: str | None) -> None:
    assert path_by(tmp_path / "file", text) == path
    assert path_by(tmp_path / "file", text, enable_metrics=False) == path


@pytest.mark.parametrize("path", ["metrics", "/a?b", "/a#b", "/a b"])
def test_a_path_that_no_url_has_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ServingError, match=r"prometheus_config\.path must be a path") as failure:
        path_by(tmp_path / "file", f'prometheus_config {{ enable: true path: "{path}" }}')
    assert failure.value.code is Code.INVALID_ARGUMENT


def test_what_is_no_monitoring_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="Invalid protobuf file"):
        path_by(tmp_path / "file", "prometheus { }")
