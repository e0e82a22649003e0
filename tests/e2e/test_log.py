# SPDX-License-Identifier: Apache-2.0
"""What an operator reads: one log of ours and TensorFlow's lines, short, levelled, and without secrets."""

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.server_process import ServerProcess, program

ServeModels = Callable[..., ServerProcess]
LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} [DIWEF] |\t)")
SECRET = "s3cr3t-0123456789abcdef"


def damaged(models: Path, folder: Path) -> Path:
    version = folder / "broken" / "1"
    shutil.copytree(models / "half_plus_two" / sorted(p.name for p in (models / "half_plus_two").iterdir())[0], version)
    (version / "saved_model.pb").write_bytes(b"\xff" * 100)
    return version


def entries(models: Path, folder: Path) -> dict[str, Path]:
    return {"one": models / "half_plus_two", "two": models / "scalar", "broken": damaged(models, folder).parent}


def bad_request(server: ServerProcess, headers: dict[str, str] | None = None) -> None:
    body = json.dumps({"instances": ["no number"]}).encode()
    with pytest.raises(HTTPError):
        urlopen(Request(f"{server.rest_url}/v1/models/one:predict", body, headers or {}), timeout=30)


def end(server: ServerProcess) -> list[str]:
    server.signal(signal.SIGTERM)
    assert server.exit_status() == 0
    return server.log.splitlines()


def test_a_stranger_sees_on_one_screen_what_is_wrong(serve_models: ServeModels, models: Path, tmp_path: Path) -> None:
    server = serve_models(entries(models, tmp_path))
    assert server.says("Exporting HTTP/REST API")
    lines = server.log.splitlines()
    assert len(lines) <= 40, server.log
    assert [line for line in lines if not LINE.match(line)] == []
    assert [line for line in lines if " I TensorFlow: " in line] == []
    problems = [line for line in lines if re.search(r"^\S+ \S+ [WEF] ", line)]
    assert problems
    assert all("broken" in line for line in problems), problems
    assert any("saved_model.pb" in line for line in problems), problems
    loaded = r"Successfully loaded servable version {name: one version: \d+} \(.+ of files in .+ s, .+/s; memory .+\)"
    assert re.search(loaded, server.log)


def test_many_bad_requests_write_few_lines(serve_models: ServeModels, models: Path) -> None:
    server = serve_models({"one": models / "heads_tf2"})
    before = len(server.log.splitlines())
    body = json.dumps({"signature_name": "regress", "inputs": ["no example"]}).encode()
    for _ in range(200):
        with pytest.raises(HTTPError) as caught:
            urlopen(Request(f"{server.rest_url}/v1/models/one:predict", body), timeout=30)
        assert b"Could not parse example" in caught.value.read()
    written = [line for line in end(server)[before:] if "Could not parse" in line]
    assert 2 <= len(written) <= 10, written
    counts = [int(found[1]) for line in written if (found := re.search(r"(\d+) more like this", line))]
    assert sum(counts) >= 190, written


def test_the_level_changes_while_the_server_runs(serve_models: ServeModels, models: Path) -> None:
    server = serve_models({"one": models / "half_plus_two"}, "--log_level=warning")
    assert server.log == ""

    def log(*words: str) -> str:
        command = [program(), "log", *words, f"--server={server.rest_url}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()

    assert log() == "warning"
    assert log("debug") == "debug"
    put = Request(
        f"{server.rest_url}/v1/admin/models/two",
        json.dumps({"base_path": str(models / "half_plus_two")}).encode(),
        {"Content-Type": "application/json"},
        method="PUT",
    )
    urlopen(put, timeout=30).close()
    assert server.says("D TensorFlow: "), server.log
    assert log("error") == "error"
    assert "error" in log()
    length = len(server.log)
    server.signal(signal.SIGTERM)
    assert server.exit_status() == 0
    assert " I " not in server.log[length:]


def test_json_is_an_object_a_line_and_has_no_secret(serve_models: ServeModels, models: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{SECRET}\n")
    tokens.chmod(0o600)
    flags = ("--log_format=json", "--log_level=debug", f"--admin_token_file={tokens}", "--admin_api=token")
    server = serve_models(entries(models, tmp_path), *flags)
    for token in (SECRET, f"wrong-{SECRET}"):
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        for path, body in (
            ("reload", {}),
            ("models/two", {"base_path": f"https://u:{SECRET}@127.0.0.1:9/m?sig={SECRET}"}),
        ):
            request = Request(f"{server.rest_url}/v1/admin/{path}", json.dumps(body).encode(), headers, method="PUT")
            with suppress(HTTPError):
                urlopen(request, timeout=30).close()
        bad_request(server, headers)
    assert server.says("Admin request")
    lines = [json.loads(line) for line in end(server)]
    assert SECRET not in server.log
    assert all({"time", "level", "message", "logger"} <= line.keys() for line in lines)
    assert {"debug", "info", "error"} <= {line["level"] for line in lines}
    assert any(line.get("model") == "broken" and line.get("version") == 1 for line in lines)
    assert any(line["logger"] == "tensorflow" and line["source"] for line in lines)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d", lines[0]["time"])
