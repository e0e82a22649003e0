# SPDX-License-Identifier: Apache-2.0
"""`/v1/admin/` and `tensorserve models`, of real processes."""

import json
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.clients import RestClient, wait_until
from tests.conftest import StartServer
from tests.server_process import ServerProcess, free_ports, model_config, program

NAME = "half_plus_two"
TOKEN = "a-token-that-nobody-guesses"
NO_CHANGE = {"added": [], "removed": [], "changed": [], "lost_labels": {}}


@pytest.fixture(scope="module")
def process(start_server: StartServer, models: Path, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    folder = tmp_path_factory.mktemp("admin")
    (folder / "models.config").write_text(model_config({NAME: models / NAME}))
    (folder / "tokens").write_text(f"# of the tests\n{TOKEN}\n")
    return start_server(
        f"--model_config_file={folder}/models.config",
        f"--admin_token_file={folder}/tokens",
        f"--rest_socket_path={folder}/rest.sock",
    )


@pytest.fixture
def rest(process: ServerProcess) -> Iterator[RestClient]:
    """Only the model of the file is there, as the file says."""
    client = RestClient(process.rest_url)
    for model in client.get("/v1/admin/models").json()["models"]:
        if model["name"] != NAME:
            client.session.delete(f"{process.rest_url}/v1/admin/models/{model['name']}", timeout=10)
    assert client.post("/v1/admin/reload", {}).status_code == 200
    wait_until(lambda: states(client, NAME).get(4) == "AVAILABLE")
    yield client
    client.close()


def put(client: RestClient, path: str, body: Any) -> requests.Response:
    return client.session.put(client.url + path, json=body, timeout=60)


def states(client: RestClient, name: str) -> dict[int, str]:
    found = client.get(f"/v1/admin/models/{name}").json()
    return {version["version"]: version["state"] for version in found.get("versions", [])}


def test_a_model_is_described(rest: RestClient, models: Path) -> None:
    model = rest.get(f"/v1/admin/models/{NAME}").json()
    version = next(version for version in model["versions"] if version["version"] == 4)
    assert model["base_path"] == str(models / NAME)
    assert model["model_version_policy"] == {"latest": {"num_versions": 1}}
    assert (model["origin"], model["ready"], model["problem"], model["not_loaded"]) == ("config", True, None, [])
    assert (version["state"], version["aspired"], version["attempts"], version["error"]) == ("AVAILABLE", True, 1, None)
    assert version["since"].startswith("20")


def test_a_model_comes_and_goes(rest: RestClient, models: Path) -> None:
    reply = put(rest, "/v1/admin/models/extra?wait=true", {"base_path": str(models / NAME)})
    assert (reply.status_code, reply.json()["ready"], reply.json()["origin"]) == (201, True, "admin")
    assert rest.predict("extra", {"instances": [2.0]}).json() == {"predictions": [6.0]}
    # Reading the file again does not take it away.
    assert rest.post("/v1/admin/reload", {}).json() == NO_CHANGE
    again = rest.post("/v1/admin/models/extra", {"base_path": str(models / NAME)})
    assert (again.status_code, again.json()) == (409, {"error": "Model extra is configured already."})
    gone = rest.session.delete(f"{rest.url}/v1/admin/models/extra?wait=true", timeout=30)
    assert gone.json() == {**NO_CHANGE, "removed": ["extra"]}
    assert rest.predict("extra", {"instances": [2.0]}).status_code == 404
    assert rest.get("/v1/admin/models/extra").status_code == 404


def test_a_new_model_gets_its_labels_once_it_answers(rest: RestClient, models: Path) -> None:
    model = {"base_path": str(models / NAME), "version_labels": {"stable": 4}}
    assert put(rest, "/v1/admin/models/named?wait=true", model).json()["version_labels"] == {"stable": 4}
    reply = rest.post("/v1/models/named/labels/stable:predict", {"instances": [2.0]})
    assert reply.json() == {"predictions": [6.0]}


def test_versions_are_pinned(rest: RestClient) -> None:
    loaded = rest.post(f"/v1/admin/models/{NAME}/versions/2:load?wait=true", {})
    assert loaded.json()["model_version_policy"] == {"specific": {"versions": [2, 4]}}
    assert rest.predict(NAME, {"instances": [2.0]}, version=2).json() == {"predictions": [4.0]}
    unloaded = rest.post(f"/v1/admin/models/{NAME}/versions/4:unload?wait=true", {})
    assert unloaded.status_code == 200
    assert rest.predict(NAME, {"instances": [2.0]}).json() == {"predictions": [4.0]}
    missing = rest.post(f"/v1/admin/models/{NAME}/versions/77:load", {})
    assert missing.status_code == 404
    assert missing.json()["error"].startswith(f"Version 77 of model {NAME} was not found under base path")
    assert rest.post(f"/v1/admin/models/{NAME}/versions/4:unload", {}).status_code == 404


def test_labels_are_set_and_refused(rest: RestClient) -> None:
    assert rest.post(f"/v1/admin/models/{NAME}/versions/2:load?wait=true", {}).status_code == 200
    path = f"/v1/admin/models/{NAME}/labels"
    assert put(rest, path, {"stable": 2, "canary": 4}).json()["version_labels"] == {"stable": 2, "canary": 4}
    refused = put(rest, f"{path}/canary", {"version": 77})
    assert refused.status_code == 400
    assert "Request to assign label to version 77" in refused.json()["error"]
    assert put(rest, f"{path}/canary", {"version": 2}).json()["version_labels"] == {"stable": 2, "canary": 2}
    rest.session.delete(f"{rest.url}{path}/stable", timeout=10)
    assert rest.get(path).json() == {"canary": 2}


def test_why_a_version_is_not_loaded(rest: RestClient, models: Path, tmp_path: Path) -> None:
    half = tmp_path / "1"
    shutil.copytree(models / "mlp" / "1", half)
    (half / "variables/variables.index").unlink()
    (tmp_path / "ignored").mkdir()
    put(rest, "/v1/admin/models/half", {"base_path": str(tmp_path)})
    wait_until(lambda: rest.get("/v1/admin/models/half").json()["not_loaded"] != [])
    reason = rest.get("/v1/admin/models/half").json()["not_loaded"][0]
    assert reason["version"] == 1
    assert "variables.index" in reason["reason"]
    put(rest, "/v1/admin/models/nowhere", {"base_path": str(tmp_path / "none")})
    wait_until(lambda: rest.get("/v1/admin/models/nowhere").json()["problem"] is not None)
    assert "NOT_FOUND: Could not find base path" in rest.get("/v1/admin/models/nowhere").json()["problem"]
    unready = rest.get("/v1/admin/ready")
    assert unready.status_code == 503
    assert "half" in unready.json()["error"]


BAD: dict[str, tuple[str, str, bytes, int]] = {
    "no such url": ("GET", "/v1/admin/nothing", b"", 404),
    "no such model": ("DELETE", "/v1/admin/models/none", b"", 404),
    "no such method": ("POST", "/v1/admin/models", b"{}", 405),
    "not json": ("PUT", "/v1/admin/models/x", b"{", 400),
    "deep json": ("PUT", "/v1/admin/models/x", b"[" * 100_000, 400),
    "no object": ("PUT", "/v1/admin/models/x", b"[]", 400),
    "unknown field": ("PUT", "/v1/admin/models/x", b'{"path": "/x"}', 400),
    "no base path": ("PUT", "/v1/admin/models/x", b"{}", 400),
    "bad policy": ("PUT", "/v1/admin/models/x", b'{"base_path": "/x", "model_version_policy": {"some": {}}}', 400),
    "bad platform": ("PUT", "/v1/admin/models/x", b'{"base_path": "/x", "model_platform": "onnx"}', 400),
    "bad version": ("POST", f"/v1/admin/models/{NAME}/versions/x:load", b"{}", 400),
    "bad verb": ("POST", f"/v1/admin/models/{NAME}/versions/1:burn", b"{}", 404),
    "bad timeout": ("GET", "/v1/admin/ready?wait=true&timeout=soon", b"", 400),
    "huge body": ("PUT", "/v1/admin/models/x", b" " * (2 << 20), 429),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests(rest: RestClient, case: str) -> None:
    method, path, body, status = BAD[case]
    headers = {"Content-Type": "application/json"}
    reply = rest.session.request(method, rest.url + path, data=body, headers=headers, timeout=30)
    assert reply.status_code == status, reply.text
    assert list(reply.json()) == ["error"]


TRICKS: dict[str, dict[str, str]] = {
    "a proxy": {"X-Forwarded-For": "203.0.113.9"},
    "another proxy": {"Forwarded": "for=203.0.113.9"},
    "a web page": {"Origin": "http://evil.example"},
    "a page of another port": {"Origin": "http://127.0.0.1:3000"},
    "a page that hides": {"Origin": "null"},
    "a browser": {"Sec-Fetch-Site": "cross-site"},
    "a name that was bound anew": {"Host": "evil.example"},
    "a wrong token": {"Authorization": "Bearer not-the-right-token-at-all"},
}


@pytest.mark.parametrize("trick", TRICKS)
def test_what_is_no_program_of_this_machine_is_refused(rest: RestClient, trick: str) -> None:
    headers = {"Content-Type": "application/json", **TRICKS[trick]}
    for method, path in (("GET", "models"), ("DELETE", f"models/{NAME}")):
        reply = rest.session.request(method, f"{rest.url}/v1/admin/{path}", headers=headers, timeout=10)
        assert reply.status_code == (401 if trick == "a wrong token" else 403), reply.text
    assert rest.predict(NAME, {"instances": [2.0]}).status_code == 200
    # With a token it may, whatever it is.
    if trick != "a wrong token":
        allowed = {**headers, "Authorization": f"Bearer {TOKEN}"}
        assert rest.session.get(f"{rest.url}/v1/admin/models", headers=allowed, timeout=10).status_code == 200


def test_a_form_cannot_change_anything(rest: RestClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        reply = rest.session.post(f"{rest.url}/v1/admin/reload", data="{}", headers={"Content-Type": kind}, timeout=10)
        assert reply.status_code == 415


def outside_address() -> str:
    """An address of this machine that is not the loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            found: str = probe.getsockname()[0]
        except OSError:
            found = "127.0.0.1"
    if found.startswith("127."):
        pytest.skip("this machine has no other address")
    return found


def test_others_need_a_token(process: ServerProcess, rest: RestClient) -> None:
    url = f"http://{outside_address()}:{process.rest_port}/v1/admin/models"
    refused = requests.get(url, timeout=10)
    assert refused.status_code == 403
    assert "--admin_token_file" in refused.json()["error"]
    assert requests.get(url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10).status_code == 200


def test_it_can_be_off(start_server: StartServer, models: Path) -> None:
    server = start_server(f"--model_base_path={models / NAME}", "--admin_api=off")
    reply = requests.get(f"{server.rest_url}/v1/admin/models", timeout=10)
    assert (reply.status_code, reply.json()) == (400, {"error": "Malformed request: GET /v1/admin/models"})


def cli(process: ServerProcess, *words: str, server: str | None = None) -> subprocess.CompletedProcess[str]:
    command: Sequence[str] = [program(), "models", *words, "--server", server or process.rest_url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_command_line(process: ServerProcess, rest: RestClient, models: Path) -> None:
    added = cli(process, "add", "cli", str(models / NAME), "--policy=specific:1,2", "--label", "stable=1", "--wait")
    assert (added.returncode, added.stderr) == (0, "")
    listed = cli(process, "list").stdout.splitlines()
    assert listed[0].split() == ["MODEL", "VERSION", "STATE", "LABELS", "SINCE", "REMARK"]
    rows = [line.split()[:4] for line in listed if line.startswith("cli")]
    assert [row for row in rows if row[2] == "AVAILABLE"][-1] == ["cli", "1", "AVAILABLE", "stable"]
    assert "version 3 is not in the policy specific:1,2" in "\n".join(listed)
    assert cli(process, "label", "cli", "stable=2", "old=1").returncode == 0
    assert cli(process, "label", "cli", "old=").returncode == 0
    shown = json.loads(cli(process, "show", "cli", "--json").stdout)
    assert shown["version_labels"] == {"stable": 2}
    assert cli(process, "load", "cli", "3", "--wait").returncode == 0
    assert cli(process, "unload", "cli", "1", "--wait").returncode == 0
    assert rest.predict("cli", {"instances": [2.0]}).json() == {"predictions": [5.0]}
    assert cli(process, "ready").stdout == "Every model answers.\n"
    assert cli(process, "reload").stdout == "Nothing has changed.\n"
    assert cli(process, "remove", "cli", "--wait").stdout == "removed: cli\n"


def test_the_command_line_says_what_is_wrong(process: ServerProcess, rest: RestClient) -> None:
    refused = cli(process, "remove", "none")
    assert (refused.returncode, refused.stderr) == (1, "tensorserve models: Model none is not configured.\n")
    nobody = cli(process, "list", server=f"http://127.0.0.1:{free_ports(1)[0]}")
    assert nobody.returncode == 3
    assert "cannot reach" in nobody.stderr
    assert cli(process, "list", server="ftp://x").returncode == 2
    assert cli(process, "label", NAME, "nonsense").returncode == 2
    assert cli(process, "dance").returncode == 2


def test_the_command_line_over_a_socket_and_with_a_token(
    process: ServerProcess, rest: RestClient, tmp_path: Path
) -> None:
    [flag] = [flag for flag in process.arguments if flag.startswith("--rest_socket_path=")]
    assert cli(process, "list", server=f"unix:{flag.partition('=')[2]}").returncode == 0
    (tmp_path / "token").write_text(TOKEN)
    remote = f"http://{outside_address()}:{process.rest_port}"
    assert cli(process, "list", server=remote).returncode == 1
    assert cli(process, "list", f"--token-file={tmp_path}/token", server=remote).returncode == 0


def test_a_stop_answers_those_who_wait(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    server = start_server(f"--model_base_path={models / NAME}")
    client = RestClient(server.rest_url)
    put(client, "/v1/admin/models/never", {"base_path": str(tmp_path)})
    replies: list[int] = []

    def wait() -> None:
        replies.append(requests.get(f"{server.rest_url}/v1/admin/ready?wait=true", timeout=30).status_code)

    waiting = [threading.Thread(target=wait) for _ in range(3)]
    for thread in waiting:
        thread.start()
    # One that leaves is no trouble.
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(f"{server.rest_url}/v1/admin/ready?wait=true", timeout=0.5)
    assert client.predict("default", {"instances": [2.0]}).status_code == 200
    server.signal(signal.SIGTERM)
    assert server.exit_status() == 0
    for thread in waiting:
        thread.join()
    assert replies == [503] * 3
    client.close()
