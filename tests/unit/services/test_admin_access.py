# SPDX-License-Identifier: Apache-2.0
import logging
from pathlib import Path

import pytest

from tensorserve.config.flags import ServerOptions
from tensorserve.errors import Code, ServingError
from tensorserve.services.admin_access import AdminAccess
from tensorserve.services.admin_request import AdminRequest, HttpError

TOKEN = "0123456789abcdef"
HOST = {"host": "localhost:8501"}


@pytest.fixture
def tokens(tmp_path: Path) -> str:
    path = tmp_path / "tokens"
    path.write_text(f"# ours\n\nfedcba9876543210\n{TOKEN}\n")
    path.chmod(0o600)
    return str(path)


def ask(peer: str = "loopback", method: str = "GET", **headers: str) -> AdminRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return AdminRequest(method, "/v1/admin/models", {**HOST, **named}, peer)


def code(access: AdminAccess, request: AdminRequest) -> Code | None:
    try:
        access.check(request)
    except ServingError as error:
        return error.code
    return None


@pytest.mark.parametrize("peer", ["loopback", "socket"])
def test_programs_of_this_machine_may(peer: str) -> None:
    assert code(AdminAccess("loopback"), ask(peer)) is None


HOSTS = {
    "localhost": True,
    "LOCALHOST:1": True,
    "127.0.0.1:8501": True,
    "127.1.2.3": True,
    "[::1]:8501": True,
    "models.internal:8501": True,
    "": False,
    "evil.example": False,
    "localhost.evil.example": False,
    "127.0.0.1.evil.example": False,
    "localhost, evil.example": False,
    "[::1": False,
    "10.0.0.1": False,
}


@pytest.mark.parametrize("host", HOSTS)
def test_the_host_must_be_this_machine(host: str) -> None:
    access = AdminAccess("loopback", host="models.internal")
    assert (code(access, ask(host=host)) is None) == HOSTS[host]
    # Nobody's browser opens a socket.
    assert code(access, ask("socket", host=host)) is None


SUSPICIOUS = [
    {"x_forwarded": "yes"},
    {"forwarded": "for=1.2.3.4"},
    {"via": "1.1 proxy"},
    {"x_real_ip": "1.2.3.4"},
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost:3000"},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
]


@pytest.mark.parametrize("headers", SUSPICIOUS, ids=str)
def test_what_may_come_from_elsewhere_needs_a_token(headers: dict[str, str], tokens: str) -> None:
    access = AdminAccess("loopback", tokens)
    assert code(access, ask(**headers)) is Code.PERMISSION_DENIED
    assert code(access, ask(**headers, authorization=f"Bearer {TOKEN}")) is None


def test_a_page_of_this_server_may() -> None:
    assert code(AdminAccess("loopback"), ask(origin="http://localhost:8501", sec_fetch_site="same-origin")) is None


def test_others_need_a_token(tokens: str) -> None:
    access = AdminAccess("loopback", tokens)
    assert code(access, ask("remote")) is Code.PERMISSION_DENIED
    for word in (f"Bearer {TOKEN}", f"bearer {TOKEN}", "Bearer fedcba9876543210"):
        assert code(access, ask("remote", authorization=word)) is None
    for word in ("Bearer", "Bearer 0123456789abcdeg", f"Bearer {TOKEN}0", "Bearer ä"):
        assert code(access, ask("remote", authorization=word)) is Code.UNAUTHENTICATED
    assert code(access, ask("remote", authorization=f"Basic {TOKEN}")) is Code.PERMISSION_DENIED


def test_a_token_that_was_taken_out_of_the_file_is_refused(tokens: str) -> None:
    access = AdminAccess("loopback", tokens)
    Path(tokens).write_text("another-token-that-is-new\n")
    assert code(access, ask("remote", authorization=f"Bearer {TOKEN}")) is Code.UNAUTHENTICATED


def test_without_a_token_file_a_token_means_nothing() -> None:
    assert code(AdminAccess("loopback"), ask("remote", authorization="Bearer ")) is Code.PERMISSION_DENIED
    assert code(AdminAccess("loopback"), ask(authorization="Bearer x")) is None


def test_a_server_can_ask_everybody_for_a_token(tokens: str) -> None:
    access = AdminAccess("token", tokens)
    for peer in ("loopback", "socket", "remote"):
        assert code(access, ask(peer)) is Code.PERMISSION_DENIED
        assert code(access, ask(peer, authorization=f"Bearer {TOKEN}")) is None


def test_it_can_be_off(tokens: str) -> None:
    assert code(AdminAccess("off", tokens), ask(authorization=f"Bearer {TOKEN}")) is Code.INVALID_ARGUMENT


def test_writes_must_be_json(tokens: str) -> None:
    access = AdminAccess("loopback", tokens)
    for headers in ({}, {"content_type": "text/plain"}, {"authorization": f"Bearer {TOKEN}"}):
        with pytest.raises(HttpError) as caught:
            access.check(ask(method="POST", **headers))
        assert caught.value.status == 415
    access.check(ask(method="POST", content_type="Application/JSON; charset=utf-8"))
    access.check(ask(method="DELETE"))


@pytest.mark.parametrize("content", ["", "# nothing\n", "short\n"])
def test_token_files_that_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(content)
    with pytest.raises(ServingError, match="token"):
        AdminAccess("loopback", str(path))
    with pytest.raises(ServingError, match="NOT_FOUND"):
        AdminAccess("loopback", str(tmp_path / "none"))


def test_tokens_that_everybody_can_read_are_noted(tokens: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    AdminAccess("loopback", tokens)
    assert caplog.messages == []
    Path(tokens).chmod(0o644)
    AdminAccess("loopback", tokens)
    assert "Every user of this machine can read the tokens" in caplog.text


def reload_code(access: AdminAccess, peer: str, **headers: str) -> Code | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        access.check_reload({**HOST, "content-type": "application/grpc", **named}, peer)
    except ServingError as error:
        return error.code
    return None


def test_reloads_are_for_the_same_callers(tokens: str) -> None:
    bearer = f"Bearer {TOKEN}"
    for peer in ("loopback", "socket", "remote"):
        assert reload_code(AdminAccess("off"), peer) is Code.PERMISSION_DENIED
        assert reload_code(AdminAccess("off", tokens), peer, authorization=bearer) is Code.PERMISSION_DENIED
        assert reload_code(AdminAccess("token", tokens), peer) is Code.PERMISSION_DENIED
        for mode in ("token", "loopback"):
            assert reload_code(AdminAccess(mode, tokens), peer, authorization=bearer) is None
            assert reload_code(AdminAccess(mode, tokens), peer, authorization="Bearer x") is Code.UNAUTHENTICATED
    assert reload_code(AdminAccess("loopback"), "loopback") is None
    assert reload_code(AdminAccess("loopback"), "socket") is None
    assert reload_code(AdminAccess("loopback"), "remote") is Code.PERMISSION_DENIED
    assert reload_code(AdminAccess("loopback"), "loopback", x_forwarded="yes") is Code.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("flags", "needs"),
    [
        ({}, False),
        ({"admin_api": "loopback"}, False),
        ({"admin_api": "off"}, True),
        ({"admin_api": "token", "admin_token_file": "f"}, True),
        ({"admin_token_file": "f"}, True),
        ({"admin_api": "off", "reload_config_access": "anyone"}, False),
        ({"admin_token_file": "f", "reload_config_access": "anyone"}, False),
        ({"reload_config_access": "admin"}, True),
    ],
)
def test_when_reloads_need_admin(flags: dict[str, str], needs: bool) -> None:
    assert ServerOptions(**flags).reload_needs_admin is needs
