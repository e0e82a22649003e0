# SPDX-License-Identifier: Apache-2.0
"""Who may use HandleReloadConfigRequest, by the official stubs."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.clients import DEADLINE_SECONDS, GrpcClient, rpc_error
from tests.compat.test_reload_config import NAME, entry, request
from tests.conftest import StartServer
from tests.server_process import ServerProcess

TOKEN = "0123456789abcdef0123"


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    path.write_text(TOKEN)
    path.chmod(0o600)
    return str(path)


def reload_code(
    server: ServerProcess, base_path: object, metadata: Sequence[tuple[str, str]] = (), target: str | None = None
) -> str:
    """The name of the code that a reload is answered with."""
    client = GrpcClient(target or server.grpc_target)
    call = client.model.HandleReloadConfigRequest
    try:
        message = request(entry(NAME, str(base_path)))
        future = call.future(message, DEADLINE_SECONDS, metadata=metadata)
        return future.code().name
    finally:
        client.close()


def test_anyone_may_by_default(start_server: StartServer, models: Path) -> None:
    server = start_server(f"--model_base_path={models / NAME}", f"--model_name={NAME}")
    assert reload_code(server, models / NAME) == "OK"
    # As the original: also who comes through a proxy, and whoever sends a token that nobody asked for.
    assert reload_code(server, models / NAME, [("x-forwarded-for", "1.2.3.4"), ("authorization", "Bearer x")]) == "OK"


def test_once_the_admin_api_is_off_nobody_may(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    server = start_server(
        f"--model_base_path={models / NAME}",
        f"--model_name={NAME}",
        f"--grpc_socket_path={tmp_path}/s.sock",
        "--admin_api=off",
    )
    assert reload_code(server, models / NAME) == "PERMISSION_DENIED"
    assert reload_code(server, models / NAME, target=f"unix:{tmp_path}/s.sock") == "PERMISSION_DENIED"
    assert server.says("is refused: HandleReloadConfigRequest is for those who may use the admin API"), server.log
    client = GrpcClient(server.grpc_target)
    assert client.states(NAME)
    client.close()


def test_once_there_is_a_token_it_opens(start_server: StartServer, models: Path, tokens: str) -> None:
    server = start_server(
        f"--model_base_path={models / NAME}",
        f"--model_name={NAME}",
        f"--admin_token_file={tokens}",
        "--admin_api=token",
    )
    assert reload_code(server, models / NAME) == "PERMISSION_DENIED"
    assert reload_code(server, models / NAME, [("authorization", "Bearer wrong-wrong-wrong")]) == "UNAUTHENTICATED"
    assert reload_code(server, models / NAME, [("authorization", f"Basic {TOKEN}")]) == "PERMISSION_DENIED"
    assert reload_code(server, models / NAME, [("authorization", f"Bearer {TOKEN}")]) == "OK"


def test_programs_of_this_machine_need_no_token(
    start_server: StartServer, models: Path, tokens: str, tmp_path: Path
) -> None:
    server = start_server(
        f"--model_base_path={models / NAME}",
        f"--model_name={NAME}",
        f"--grpc_socket_path={tmp_path}/s.sock",
        f"--admin_token_file={tokens}",
    )
    assert reload_code(server, models / NAME) == "OK"
    assert reload_code(server, models / NAME, target=f"unix:{tmp_path}/s.sock") == "OK"
    for name in ("x-forwarded-for", "forwarded", "via", "x-real-ip"):
        assert reload_code(server, models / NAME, [(name, "1.2.3.4")]) == "PERMISSION_DENIED"


def test_the_old_way_can_be_had_beside_a_token(start_server: StartServer, models: Path) -> None:
    server = start_server(
        f"--model_base_path={models / NAME}", f"--model_name={NAME}", "--admin_api=off", "--reload_config_access=anyone"
    )
    assert reload_code(server, models / NAME) == "OK"


def test_models_come_from_allowed_places_only(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(models / NAME)
    server = start_server(
        f"--model_base_path={models / NAME}",
        f"--model_name={NAME}",
        f"--allowed_base_paths={models},{tmp_path / 'other'}",
    )
    assert reload_code(server, models / NAME) == "OK"
    for elsewhere in ("/etc", f"{models}/../etc", f"{models}-2", "http://127.0.0.1:1/m", "file:///etc"):
        assert reload_code(server, elsewhere) == "PERMISSION_DENIED"
    # It is where the link leads that counts.
    assert reload_code(server, tmp_path / "link") == "OK"
    client = GrpcClient(server.grpc_target)
    call = client.model.HandleReloadConfigRequest
    code, text = rpc_error(lambda: call(request(entry(NAME, "/etc")), DEADLINE_SECONDS))
    assert code == "PERMISSION_DENIED"
    assert text.startswith("Model half_plus_two may not be served from /etc")
    assert client.states(NAME)
    client.close()
