# SPDX-License-Identifier: Apache-2.0
"""What `tensorserve models` prints of a server's answers; tests/e2e/test_admin_api.py runs it against a real one."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tensorserve.cli import main
from tensorserve.cli.exit_status import OK, REFUSED, UNREACHABLE, USAGE
from tests.unit.log.test_lines import TRICKS


@contextmanager
def server(answer: object, status: int = 200) -> Iterator[str]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do(self) -> None:
            code, value = answer() if callable(answer) else (status, answer)
            body = json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as serving:
        threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True).start()
        yield f"--server=http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def model(name: str) -> dict[str, object]:
    version = {"version": 1, "state": "LOADING", "attempts": 2, "since": f"2026{name}", "error": f"failed {name}"}
    return {
        "name": name,
        "base_path": name,
        "version_labels": {name: 1},
        "versions": [version],
        "not_loaded": [{"version": 2, "reason": name}],
        "problem": name,
    }


@pytest.mark.parametrize("trick", [trick for trick in TRICKS if trick != "\ud800"])
@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_names_do_not_steer_the_terminal(trick: str, flag: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    name = f"m{trick}forged"
    with server({"models": [model(name)]}) as where:
        assert main.run(["models", "list", where, *flag]) == OK
    out = capsys.readouterr().out
    assert all(char.isprintable() or char == "\n" for char in out)
    if flag:
        assert json.loads(out)["models"][0]["name"] == name
    else:
        assert len(out.splitlines()) == 4
    plan = {"added": [name], "removed": [name], "changed": [], "lost_labels": {name: {name: {"before": 1, "after": 2}}}}
    with server(plan) as where:
        assert main.run(["models", "reload", where, *flag]) == OK
    out = capsys.readouterr().out
    assert all(char.isprintable() or char == "\n" for char in out)
    assert flag or len(out.splitlines()) == 3


@pytest.mark.parametrize("trick", ["\x1b[31m", "\x9b31m", "\u202e", "\u2028"])
def test_nor_do_errors(trick: str, capsys: pytest.CaptureFixture[str]) -> None:
    with server({"error": f"no {trick}"}, 404) as where:
        assert main.run(["models", "show", "m", where]) == REFUSED
    assert trick not in capsys.readouterr().err
    for words in (["models", "list", f"--server={trick}"], [f"{trick}"], ["models", trick], ["serve", f"--{trick}"]):
        assert main.run(words) in (USAGE, UNREACHABLE)
        printed = capsys.readouterr()
        assert trick not in printed.out + printed.err


def test_lost_labels_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    lost = {"m": {"stable": {"before": 1, "after": None}, "canary": {"before": 2, "after": 3}}}
    with server({"added": [], "removed": [], "changed": ["m"], "lost_labels": lost}) as where:
        assert main.run(["models", "reload", where]) == OK
    assert capsys.readouterr().out == (
        "changed: m\n"
        "label stable of m: version 1 before, now gone, since the configuration does not have it\n"
        "label canary of m: version 2 before, now version 3\n"
    )


def test_labels_of_versions_that_are_not_served_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    version = {"version": 3, "state": "AVAILABLE", "attempts": 1, "since": "2026", "error": None}
    shown = {
        "name": "m",
        "base_path": "/m",
        "model_version_policy": {"specific": {"versions": [3]}},
        "version_labels": {"stable": 2, "now": 3},
        "pending_version_labels": {"canary": 4},
        "origin": "admin",
        "versions": [version],
        "not_loaded": [{"version": 5, "reason": "version 5 is not in the policy specific:3"}],
        "problem": None,
    }
    with server(shown) as where:
        assert main.run(["models", "show", "m", where]) == OK
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [" ".join(line) for line in lines] == [
        "base path: /m",
        "policy: specific:3",
        "labels: canary=4, now=3, stable=2",
        "origin: admin",
        "MODEL VERSION STATE LABELS SINCE REMARK",
        "m 3 AVAILABLE now 2026",
        "m 5 - version 5 is not in the policy specific:3",
        "m 2 - stable label stable -> 2 (not served)",
        "m 4 - label canary -> 4 (set once that is available)",
    ]


@pytest.mark.parametrize("policy", ["latest:x", "latest:1,2", "specific:a", "all:1", "newest"])
def test_a_policy_that_is_none(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["models", "add", "m", f"--policy={policy}"]) == USAGE
    assert f"{policy} is no policy; there are latest, latest:N, all and specific:N,N,..." in capsys.readouterr().err


def test_errors_say_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["models", "list", "--server=localhost:8501"]) == USAGE
    assert "did you mean http://localhost:8501?" in capsys.readouterr().err
    left_over = "1 model(s) did not become available: {{name: m} due to error: NOT_FOUND: nothing}, }"
    answers = iter([(500, {"error": left_over}), (200, {**model("m"), "ready": False, "origin": "admin"})])
    with server(lambda: next(answers)) as where:
        assert main.run(["models", "add", "m", "/m", "--wait", where]) == REFUSED
    printed = capsys.readouterr().err
    assert "did not become available: {name: m} due to error: NOT_FOUND: nothing\n" in printed
    assert "It stays configured, and loading is tried again: `tensorserve models remove m` removes it." in printed


def test_who_is_replaced_is_asked_again(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([(503, {"error": "replaced", "ask_again": True}), (200, {"ready": True})])
    with server(lambda: next(answers)) as where:
        assert main.run(["models", "ready", where]) == OK
    assert capsys.readouterr().out == "Every model answers.\n"
    monkeypatch.setattr("tensorserve.cli.admin_client._REPLACED_SECONDS", 0.0)
    with server({"error": "replaced", "ask_again": True}, 503) as where:
        assert main.run(["models", "ready", where]) == REFUSED
    assert "replaced" in capsys.readouterr().err
