# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from tensorserve.config.flags import ServerOptions
from tensorserve.config.monitoring_config import metrics_path
from tensorserve.errors import Code, ServingError


def path_by(file: Path, text: str, **flags: bool) -> str | None:
    file.write_text(text)
    return metrics_path(ServerOptions(monitoring_config_file=str(file), **flags))  # type: ignore[arg-type]


def test_without_a_file_the_flag_decides() -> None:
    assert metrics_path(ServerOptions()) == "/metrics"
    assert metrics_path(ServerOptions(enable_metrics=False)) is None


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
