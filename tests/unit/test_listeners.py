# SPDX-License-Identifier: Apache-2.0
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tensorserve.errors import ServingError
from tensorserve.listeners import BoundPorts, Endpoints, Listeners, check_endpoints
from tests.server_process import free_ports
from tests.unit.fakes import FakeDataPlane


@pytest.fixture
def plane() -> Iterator[FakeDataPlane]:
    plane = FakeDataPlane()
    yield plane
    plane.shutdown(0.0)


def answers(address: object) -> bool:
    """Whether something listens on a TCP port of this machine, or on the path of a UNIX socket."""
    family, where = (socket.AF_UNIX, address) if isinstance(address, str) else (socket.AF_INET, ("127.0.0.1", address))
    with socket.socket(family) as client:
        return client.connect_ex(where) == 0


@pytest.mark.parametrize(
    ("host", "lines"),
    [
        ("", ["Running gRPC ModelServer at 0.0.0.0:{} ...", "Exporting HTTP/REST API at:localhost:{} ..."]),
        ("127.0.0.1", ["Running gRPC ModelServer at 127.0.0.1:{} ...", "Exporting HTTP/REST API at:127.0.0.1:{} ..."]),
        ("::1", ["Running gRPC ModelServer at [::1]:{} ...", "Exporting HTTP/REST API at:[::1]:{} ..."]),
        ("[::1]", ["Running gRPC ModelServer at [::1]:{} ...", "Exporting HTTP/REST API at:[::1]:{} ..."]),
        ("localhost", ["Running gRPC ModelServer at localhost:{} ...", "Exporting HTTP/REST API at:localhost:{} ..."]),
    ],
)
def test_addresses(host: str, lines: list[str], plane: FakeDataPlane, caplog: pytest.LogCaptureFixture) -> None:
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    caplog.set_level(logging.INFO)
    grpc, rest = free_ports(2)
    assert Listeners.bind(Endpoints(grpc, rest, host=host)).open(plane) == BoundPorts(grpc, rest)
    assert [(protocol, address[1]) for protocol, address in plane.listening] == [("grpc", grpc), ("rest", rest)]
    assert caplog.messages == [lines[0].format(grpc), lines[1].format(rest)]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_any_free_port(plane: FakeDataPlane) -> None:
    ports = Listeners.bind(Endpoints(0, 0)).open(plane)
    assert ports.grpc
    assert ports.rest
    assert ports.grpc != ports.rest


def test_nothing_answers_before_it_is_open_and_the_ports_are_taken(plane: FakeDataPlane) -> None:
    grpc, rest = free_ports(2)
    listeners = Listeners.bind(Endpoints(grpc, rest))
    assert not answers(grpc)
    assert not answers(rest)
    for reuse in (0, 1):
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", grpc))
    listeners.open(plane)
    assert answers(grpc)
    assert answers(rest)


def test_what_is_closed_is_free_again() -> None:
    [port] = free_ports(1)
    Listeners.bind(Endpoints(port, None)).close()
    Listeners.bind(Endpoints(port, None)).close()


def test_connections_of_a_former_server_keep_nobody_away(plane: FakeDataPlane) -> None:
    """The side that closes first keeps its port in TIME_WAIT."""
    with closing(socket.create_server(("127.0.0.1", 0))) as former:
        port = former.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        served, _ = former.accept()
        served.close()
    client.close()
    assert Listeners.bind(Endpoints(port, None, host="127.0.0.1")).open(plane).grpc == port


def test_rest_falls_back_to_ipv4(plane: FakeDataPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    made = socket.socket

    def without_ipv6(family: int = -1, *arguments: object, **keywords: object) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return made(family, *arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr("tensorserve.listeners.socket.socket", without_ipv6)
    [port] = free_ports(1)
    Listeners.bind(Endpoints(0, port)).open(plane)
    assert plane.listening[-1] == ("rest", ("0.0.0.0", port))


def test_rest_on_the_port_of_grpc_is_skipped(plane: FakeDataPlane, caplog: pytest.LogCaptureFixture) -> None:
    [port] = free_ports(1)
    assert Listeners.bind(Endpoints(port, port)).open(plane) == BoundPorts(port, None)
    assert "Skipped exporting HTTP/REST API." in caplog.text


@pytest.mark.parametrize(
    ("which", "text"),
    [
        ("grpc", "INVALID_ARGUMENT: Failed to BuildAndStart gRPC server at 0.0.0.0:{}: Address already in use"),
        ("rest", "UNAVAILABLE: Failed to start HTTP Server at localhost:{}: Address already in use"),
    ],
)
@pytest.mark.parametrize("listens", [True, False])
def test_a_port_that_is_taken(which: str, text: str, listens: bool) -> None:
    with socket.socket() as holder:
        holder.bind(("0.0.0.0", 0))
        if listens:
            holder.listen()
        taken = holder.getsockname()[1]
        endpoints = Endpoints(taken, 0) if which == "grpc" else Endpoints(0, taken)
        with pytest.raises(ServingError) as caught:
            Listeners.bind(endpoints)
    assert str(caught.value) == text.format(taken)


def test_of_two_that_start_at_once_one_gets_the_port() -> None:
    [port] = free_ports(1)
    first = Listeners.bind(Endpoints(port, None))
    with pytest.raises(ServingError, match="Address already in use"):
        Listeners.bind(Endpoints(port, None))
    first.close()


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("no-such-host.invalid", ""),
        ("203.0.113.7", "Cannot assign requested address"),
        ("a" * 70, ""),
        ("300.1.1.1", ""),
        ("a..b", ""),
    ],
)
def test_hosts_that_cannot_be(host: str, reason: str) -> None:
    with pytest.raises(ServingError) as caught:
        Listeners.bind(Endpoints(0, None, host=host))
    assert str(caught.value).startswith(f"INVALID_ARGUMENT: Failed to BuildAndStart gRPC server at {host}:0: {reason}")


@pytest.mark.parametrize("name", ["grpc", "rest"])
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("none/s.sock", "No such file or directory"),
        ("file", "Address already in use"),
        ("file/s.sock", "Not a directory"),
        ("folder", "Address already in use"),
        ("fifo", "Address already in use"),
        ("x" * 120, "AF_UNIX path too long"),
    ],
)
def test_socket_paths_that_cannot_be_are_found_at_once(name: str, path: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    where = str(tmp_path / path)
    with pytest.raises(ServingError, match=f"unix:{where}: {reason}"):
        Listeners.bind(Endpoints(0, None, **{f"{name}_socket_path": where}))
    assert (tmp_path / "file").read_text() == "kept"


def test_sockets_are_opened_and_their_paths_removed(
    plane: FakeDataPlane, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    grpc, rest = str(tmp_path / "grpc.sock"), str(tmp_path / "rest.sock")
    listeners = Listeners.bind(Endpoints(None, None, grpc, rest))
    assert not answers(grpc)
    assert listeners.open(plane) == BoundPorts(None, None)
    assert plane.listening == [("grpc", grpc), ("rest", rest)]
    assert answers(grpc)
    assert answers(rest)
    assert caplog.messages == [
        f"Running gRPC ModelServer at UNIX socket {grpc} ...",
        f"Exporting HTTP/REST API at UNIX socket {rest} ...",
    ]
    listeners.close()
    assert list(tmp_path.iterdir()) == []


def test_a_socket_that_a_dead_server_left_behind_is_replaced(plane: FakeDataPlane, tmp_path: Path) -> None:
    path = str(tmp_path / "s.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    listeners = Listeners.bind(Endpoints(None, None, path))
    assert os.listdir(tmp_path) == ["s.sock"]
    listeners.open(plane)
    assert answers(path)


def connected(path: str, listener: socket.socket) -> bool:
    """Whether a connection to the path arrives at this listener."""
    listener.settimeout(0.2)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        try:
            listener.accept()[0].close()
        except TimeoutError:
            return False
    return True


def test_a_path_that_another_server_answers_on_is_taken_over_once_it_can_be_answered(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    path = str(tmp_path / "s.sock")
    with socket.socket(socket.AF_UNIX) as former:
        former.bind(path)
        former.listen()
        listeners = Listeners.bind(Endpoints(None, None, path))
        former.accept()[0].close()  # It was asked whether it answers.
        assert connected(path, former)
        listeners.open(plane)
        assert not connected(path, former)
        assert answers(path)
        assert os.listdir(tmp_path) == ["s.sock"]


def test_whoever_stops_leaves_a_path_that_is_not_its_own_any_more(tmp_path: Path) -> None:
    path = str(tmp_path / "s.sock")
    planes = [FakeDataPlane() for _ in range(4)]
    servers = []
    for plane in planes:
        servers.append(Listeners.bind(Endpoints(None, None, path)))
        servers[-1].open(plane)
    for server, plane in zip(servers[:-1], planes, strict=False):
        server.close()
        plane.shutdown(0.0)
        assert answers(path)
    servers[-1].close()
    planes[-1].shutdown(0.0)
    assert os.listdir(tmp_path) == []


def test_one_that_gives_up_while_it_starts_leaves_the_path_to_the_other(tmp_path: Path) -> None:
    path = str(tmp_path / "s.sock")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        Listeners.bind(Endpoints(None, None, path)).close()
        assert os.listdir(tmp_path) == ["s.sock"]
        assert answers(path)


@pytest.mark.parametrize("length", [95, 100, 105, 107])
def test_long_paths(length: int, plane: FakeDataPlane, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = str(tmp_path_factory.mktemp("s"))
    path = f"{folder}/{'x' * (length - len(folder) - 1)}"
    for _ in range(2):
        listeners = Listeners.bind(Endpoints(None, None, path))
        listeners.open(plane)
        assert answers(path)
    listeners.close()
    assert os.listdir(folder) == []


def test_sockets_of_another_process(plane: FakeDataPlane, tmp_path: Path) -> None:
    path = str(tmp_path / "s.sock")
    parent = Listeners.bind(Endpoints(0, 0, path, host="127.0.0.1"))
    given = {name: os.dup(descriptor) for name, descriptor in parent.descriptors().items()}
    child = Listeners.inherit(given)
    assert child.descriptors() == given
    ports = child.open(plane)
    assert ports.grpc
    assert ports.rest
    assert answers(ports.grpc)
    assert answers(path)
    child.close()
    plane.shutdown(0.0)
    assert answers(path), "the parent still holds it"
    parent.close()
    assert not answers(ports.grpc)
    assert os.listdir(tmp_path) == []


def test_what_is_inherited_must_be_a_socket() -> None:
    with open(os.devnull) as file, pytest.raises(ServingError, match=r"INVALID_ARGUMENT: Descriptor .* of grpc"):
        Listeners.inherit({"grpc": os.dup(file.fileno())})


@pytest.mark.parametrize(
    ("endpoints", "text"),
    [
        (
            Endpoints(None, 8501),
            "At least one of server_options.grpc_port or server_options.grpc_socket_path must be set.",
        ),
        (Endpoints(70000, None), "A port must be between 0 and 65535; got 70000."),
        (Endpoints(0, -1), "A port must be between 0 and 65535; got -1."),
    ],
)
def test_endpoints_that_cannot_be(endpoints: Endpoints, text: str) -> None:
    with pytest.raises(ServingError) as caught:
        check_endpoints(endpoints)
    assert str(caught.value) == f"INVALID_ARGUMENT: {text}"
