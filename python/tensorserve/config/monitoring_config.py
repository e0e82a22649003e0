# SPDX-License-Identifier: Apache-2.0
"""Where the REST port answers with metrics: `--monitoring_config_file` and `--enable_metrics`."""

from __future__ import annotations

from tensorserve.config.flags import ServerOptions
from tensorserve.config.text_format import read_text_message
from tensorserve.errors import Code, ServingError

PATH_WITHOUT_FILE = "/metrics"
PATH_WITH_FILE = "/monitoring/prometheus/metrics"
"""The original's, if its file names none."""


def metrics_path(options: ServerOptions) -> str | None:
    """The path that the flags ask for; None for no metrics over HTTP.

    Raises:
        ServingError: The file cannot be read, is no text `MonitoringConfig`, or names a path that no URL has.
    """
    if not options.monitoring_config_file:
        return PATH_WITHOUT_FILE if options.enable_metrics else None
    file = options.monitoring_config_file
    prometheus = read_text_message(file, "tensorflow.serving.MonitoringConfig").prometheus_config
    if not prometheus.enable:
        return None
    path: str = prometheus.path or PATH_WITH_FILE
    if not path.startswith("/") or any(mark in path for mark in "?# "):
        text = f'{file}: prometheus_config.path must be a path such as {PATH_WITH_FILE}; got "{path}"'
        raise ServingError(Code.INVALID_ARGUMENT, text)
    return path
