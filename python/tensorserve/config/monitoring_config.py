# SPDX-License-Identifier: Apache-2.0
"""Where the REST port answers with metrics: `--monitoring_config_file` and `--enable_metrics`."""

from __future__ import annotations

from tensorserve.config.flags import ServerOptions
from tensorserve.config.text_format import read_text_message
from tensorserve.errors import Code, ServingError

OWN_PATH = "/metrics"
ORIGINAL_PATH = "/monitoring/prometheus/metrics"
"""Of the original's metrics, if its file names none."""


def metrics_paths(options: ServerOptions) -> tuple[str | None, str | None]:
    """The paths of our metrics and of the original's; None for nowhere. A path is only one of them: the file decides.

    Raises:
        ServingError: The file cannot be read, is no text `MonitoringConfig`, or names a path that no URL has.
    """
    original = _original_path(options)
    return OWN_PATH if options.enable_metrics and original != OWN_PATH else None, original


def _original_path(options: ServerOptions) -> str | None:
    if not options.monitoring_config_file:
        return ORIGINAL_PATH if options.enable_metrics else None
    file = options.monitoring_config_file
    prometheus = read_text_message(file, "tensorflow.serving.MonitoringConfig").prometheus_config
    if not prometheus.enable:
        return None
    path: str = prometheus.path or ORIGINAL_PATH
    if not path.startswith("/") or any(mark in path for mark in "?# "):
        text = f'{file}: prometheus_config.path must be a path such as {ORIGINAL_PATH}; got "{path}"'
        raise ServingError(Code.INVALID_ARGUMENT, text)
    return path
