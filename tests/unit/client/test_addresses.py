# SPDX-License-Identifier: Apache-2.0
import pytest

from tensorserve_client.addresses import Address, parse, parse_all
from tensorserve_client.errors import AddressError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("grpc://a", Address("grpc://a", False, host="a", port=8500)),
        ("grpcs://a:1", Address("grpcs://a:1", False, True, "a", 1)),
        ("http://a/", Address("http://a/", True, host="a", port=8501)),
        ("https://a/tf/", Address("https://a/tf/", True, True, "a", 443, prefix="/tf")),
        ("unix:/tmp/x", Address("unix:/tmp/x", False, socket_path="/tmp/x")),
        ("unix:///tmp/x", Address("unix:///tmp/x", False, socket_path="/tmp/x")),
        ("http+unix:x", Address("http+unix:x", True, socket_path="x")),
    ],
)
def test_urls(url: str, expected: Address) -> None:
    assert parse(url) == expected


@pytest.mark.parametrize("url", ["", "ftp://a", "grpc://", "grpc://a:x", "grpc://a/b", "http://a?b=c", "unix:", "a"])
def test_what_names_no_server(url: str) -> None:
    with pytest.raises(AddressError):
        parse(url)


def test_a_forgotten_scheme_is_told() -> None:
    with pytest.raises(AddressError, match="did you mean grpc://localhost:8500"):
        parse("localhost:8500")


def test_several() -> None:
    assert [a.port for a in parse_all("grpc://a:1, grpc://b:2")] == [1, 2]
    assert [a.target for a in parse_all(["grpc://[::1]:1", "unix:/x"])] == ["[::1]:1", "unix:/x"]
    with pytest.raises(AddressError, match="needs the URL"):
        parse_all([])
