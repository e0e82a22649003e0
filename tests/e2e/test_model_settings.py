# SPDX-License-Identifier: Apache-2.0
"""A settings file counts from the start, and again when it has changed."""

import os
import shutil
import signal
from pathlib import Path

from tests.clients import RestClient, wait_until
from tests.conftest import ServeModels
from tests.e2e.test_broken_models import corrupt

FIXED = "batching { parameters { max_batch_size { value: 8 } } }"


def write(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text)
    os.replace(beside, path)


def test_settings_count_and_are_read_again(serve_models: ServeModels, models: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "1"
    shutil.copytree(models / "half_plus_two" / "1", broken)
    corrupt(broken)
    settings = tmp_path / "settings.pbtxt"
    write(settings, f'model {{ name: "broken" readiness: REQUIRED }} model {{ name: "batched" {FIXED} }}')
    entries = {"half_plus_two": models / "half_plus_two", "batched": models / "half_plus_two", "broken": broken.parent}
    server = serve_models(entries, f"--model_settings_file={settings}")
    rest = RestClient(server.rest_url)
    assert rest.get("/readyz").status_code == 503
    assert rest.get("/readyz?verbose").json()["reasons"] == ["model broken has no version that answers"]
    assert rest.predict("batched", {"instances": [2.0]}).json() == {"predictions": [6.0]}
    rest.predict("half_plus_two", {"instances": [2.0]})
    metrics = rest.get("/metrics").text.splitlines()
    batched = [line for line in metrics if line.startswith("tensorserve_batching_waiting_rows")]
    assert len(batched) == 1
    assert 'model_name="batched"' in batched[0]

    write(settings, "model { weight: 3 }")
    server.signal(signal.SIGHUP)
    assert server.says(f"The options of {settings} stay as they were: {settings}:1: "), server.log
    assert rest.get("/readyz").status_code == 503

    write(settings, 'model { name: "broken" readiness: OPTIONAL } model { name: "typo" weight { value: 3 } }')
    server.signal(signal.SIGHUP)
    wait_until(lambda: rest.get("/readyz").status_code == 200)
    assert server.says("has settings for model typo, which is not configured"), server.log
