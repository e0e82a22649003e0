# SPDX-License-Identifier: Apache-2.0
"""TLS and mutual TLS on both ports, with the official client and `requests`."""

import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests

from tests.certificates import Authority, Signed, ssl_config
from tests.clients import GrpcClient, rpc_error, wait_until
from tests.conftest import StartServer
from tests.e2e.test_startup_errors import assert_one_clear_line, flags, run
from tests.server_process import ServerProcess

MODEL = "half_plus_two"


class SecureClient(GrpcClient):
    """The stubs over a channel that trusts one authority, and shows a certificate if it has one."""

    def __init__(
        self,
        target: str,
        authority: Authority,
        shown: Signed | None = None,
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        credentials = grpc.ssl_channel_credentials(
            authority.certificate, shown.key if shown else None, shown.certificate if shown else None
        )
        super().__init__(target, options, credentials)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("ours")


@pytest.fixture(scope="module")
def stranger() -> Authority:
    return Authority("somebody else's")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def model_flags(models: Path) -> list[str]:
    return [f"--model_name={MODEL}", f"--model_base_path={models / MODEL}"]


@pytest.fixture(scope="module")
def secure(start_server: StartServer, models: Path, authority: Authority, folder: Path) -> ServerProcess:
    """Both ports within TLS; gRPC on a socket path as well."""
    config = write(folder / "server.config", ssl_config(authority.sign("server")))
    more = [f"--ssl_config_file={config}", f"--rest_ssl_config_file={config}", f"--grpc_socket_path={folder / 'grpc'}"]
    return start_server(*model_flags(models), *more)


@pytest.fixture(scope="module")
def mutual(start_server: StartServer, models: Path, authority: Authority, folder: Path) -> ServerProcess:
    """Both ports want a certificate of our authority."""
    text = ssl_config(authority.sign("server"), authority.certificate, client_verify=True)
    config = write(folder / "mutual.config", text)
    return start_server(*model_flags(models), f"--ssl_config_file={config}", f"--rest_ssl_config_file={config}")


def predicts(client: GrpcClient) -> bool:
    values = client.predict(MODEL, {"x": [float(i) for i in range(50_000)]}).outputs["y"].float_val
    client.close()
    return len(values) == 50_000 and values[2] - values[0] == 1.0


def test_grpc_within_tls(secure: ServerProcess, authority: Authority) -> None:
    assert predicts(SecureClient(secure.grpc_target, authority))


def test_grpc_within_tls_on_a_socket_path(secure: ServerProcess, authority: Authority, folder: Path) -> None:
    # A path is no name that a certificate could have.
    options = [("grpc.ssl_target_name_override", "localhost")]
    assert predicts(SecureClient(f"unix:{folder / 'grpc'}", authority, options=options))


def test_plain_text_is_not_answered(secure: ServerProcess) -> None:
    assert rpc_error(lambda: GrpcClient(secure.grpc_target).predict(MODEL, {"x": [1.0]}))[0] == "UNAVAILABLE"
    with pytest.raises(requests.ConnectionError):
        get(secure, "http", None)
    assert secure.says("A gRPC client was refused: the TLS handshake failed: "), secure.log


def test_a_client_that_trusts_others_refuses(secure: ServerProcess, stranger: Authority) -> None:
    client = SecureClient(secure.grpc_target, stranger)
    assert rpc_error(lambda: client.predict(MODEL, {"x": [1.0]}))[0] == "UNAVAILABLE"
    client.close()


def test_the_protocol_is_negotiated(secure: ServerProcess) -> None:
    assert negotiated(secure.grpc_port, ["h2", "http/1.1"]) == "h2"
    assert negotiated(secure.rest_port, ["h2", "http/1.1"]) == "http/1.1"
    with pytest.raises(ssl.SSLError):
        negotiated(secure.grpc_port, ["http/1.1"])


def negotiated(port: int, offered: list[str]) -> str | None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(offered)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain, context.wrap_socket(plain) as stream:
        return stream.selected_alpn_protocol()


def get(server: ServerProcess, scheme: str, verify: Path | None, cert: tuple[str, str] | None = None) -> Any:
    session = requests.Session()
    session.trust_env = False
    url = f"{scheme}://127.0.0.1:{server.rest_port}/v1/models/{MODEL}"
    return session.get(url, timeout=5, verify=str(verify) if verify else None, cert=cert)


def test_rest_within_tls(secure: ServerProcess, authority: Authority, folder: Path) -> None:
    trusted = folder / "authority.pem"
    trusted.write_bytes(authority.certificate)
    reply = get(secure, "https", trusted)
    assert reply.status_code == 200
    assert "AVAILABLE" in reply.text


def test_a_client_with_a_certificate(mutual: ServerProcess, authority: Authority, folder: Path) -> None:
    signed = authority.sign("client")
    assert predicts(SecureClient(mutual.grpc_target, authority, signed))
    trusted, key, certificate = folder / "trusted.pem", folder / "client.key", folder / "client.pem"
    trusted.write_bytes(authority.certificate)
    key.write_bytes(signed.key)
    certificate.write_bytes(signed.certificate)
    assert get(mutual, "https", trusted, (str(certificate), str(key))).status_code == 200
    with pytest.raises(requests.ConnectionError):
        get(mutual, "https", trusted)


@pytest.mark.parametrize("shown", ["none", "of another authority"])
def test_a_client_without_a_good_certificate(
    mutual: ServerProcess, authority: Authority, stranger: Authority, shown: str
) -> None:
    client = SecureClient(mutual.grpc_target, authority, None if shown == "none" else stranger.sign("client"))
    assert rpc_error(lambda: client.predict(MODEL, {"x": [1.0]}))[0] == "UNAVAILABLE"
    client.close()


def test_a_silent_client_does_not_hold_back_the_stop(start_server: StartServer, models: Path, folder: Path) -> None:
    config = write(folder / "silent.config", ssl_config(Authority("its own").sign("server")))
    server = start_server(*model_flags(models), f"--ssl_config_file={config}")
    with socket.create_connection(("127.0.0.1", server.grpc_port)):
        server.stop()
    assert server.exit_status(0) == 0, server.log


def test_new_certificates_are_taken_when_the_file_changes(
    start_server: StartServer, models: Path, authority: Authority, stranger: Authority, folder: Path
) -> None:
    config = write(folder / "changing.config", ssl_config(authority.sign("server")))
    server = start_server(*model_flags(models), f"--ssl_config_file={config}")
    before = SecureClient(server.grpc_target, authority)
    before.predict(MODEL, {"x": [1.0]})

    write(config, "server_key: 'x' server_cert: 'y'")
    wait_until(lambda: "The TLS settings stay as they are" in server.log)
    write(folder / "next.config", ssl_config(stranger.sign("server"))).rename(config)
    wait_until(lambda: "as it is now" in server.log)
    assert predicts(SecureClient(server.grpc_target, stranger))
    # A connection keeps what it has begun with.
    assert predicts(before)
    assert "PRIVATE KEY" not in server.log


GOOD = Authority("any").sign("server")
OTHER = Authority("any").sign("server")
BAD: dict[str, tuple[str | None, str]] = {
    "no file": (None, "No such file"),
    "no message": ("nonsense", "Invalid protobuf file"),
    "no key": ('server_cert: "x"', "server_key is missing."),
    "no certificate": ('server_key: "x"', "server_cert is missing."),
    "a path instead of a key": (
        ssl_config(Signed(b"/etc/key.pem", GOOD.certificate)),
        "server_key holds no private key in PEM form",
    ),
    "a path instead of a certificate": (
        ssl_config(Signed(GOOD.key, b"/etc/cert.pem")),
        "server_cert holds no certificate in PEM form",
    ),
    "the key of another certificate": (
        ssl_config(Signed(OTHER.key, GOOD.certificate)),
        "server_key and server_cert cannot be used together",
    ),
    "nobody to verify clients": (ssl_config(GOOD, client_verify=True), "client_verify needs custom_ca."),
    "an authority that is none": (ssl_config(GOOD, b"x", client_verify=True), "custom_ca holds no certificate"),
}


@pytest.mark.parametrize("flag", ["ssl_config_file", "rest_ssl_config_file"])
@pytest.mark.parametrize("case", BAD)
def test_a_bad_config_ends_the_start(models: Path, tmp_path: Path, case: str, flag: str) -> None:
    text, part = BAD[case]
    path = tmp_path / "ssl.config"
    if text is not None:
        path.write_text(text)
    status, output = run(*flags(models / MODEL), f"--{flag}={path}")
    assert status != 0
    assert_one_clear_line(output, "Failed to start server. Error: ", str(path), part)
    assert "PRIVATE KEY" not in output
