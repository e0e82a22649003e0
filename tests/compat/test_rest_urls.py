# SPDX-License-Identifier: Apache-2.0
"""Paths, methods, headers and status codes of the REST API."""

import gzip
import http.client
import json
import zlib

import pytest
import requests

from tests.clients import RestClient
from tests.server_process import ServerProcess

PREDICT = "/v1/models/half_plus_two/versions/1:predict"
BODY = {"instances": [1.0, 2.0, 5.0]}
ANSWER = {"predictions": [2.5, 3.0, 4.5]}
NOT_FOUND_PAGE = "<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n"


@pytest.mark.parametrize(
    "path",
    [
        PREDICT,
        "/V1/MODELS/half_plus_two/VERSIONS/1:predict",
        "/v1/models/half%5Fplus%5ftwo/versions/1:predict",
        "/v1/models/half_plus_two/versions/0001:predict",
    ],
)
def test_predict_paths(rest_client: RestClient, path: str) -> None:
    reply = rest_client.post(path, BODY)
    assert (reply.status_code, reply.json()) == (200, ANSWER)


MALFORMED = [
    ("POST", PREDICT + "?x=1"),
    ("POST", PREDICT + "/"),
    ("POST", "/v1/models/half_plus_two:PREDICT"),
    ("POST", "/v1/models/half_plus_two:predict:predict"),
    ("POST", "/v1/models/half_plus_two/versions/1/labels/a:predict"),
    ("POST", "/v1/models/half_plus_two/versions/x:predict"),
    ("POST", "/v1/models/half_plus_two/metadata"),
    ("POST", "/v1/models/half_plus_two"),
    ("GET", PREDICT),
    ("GET", "/v1/"),
    ("GET", "/v1/models/half_plus_two/"),
    ("GET", "/v1/models/half_plus_two/metadata?x"),
    ("PUT", PREDICT),
    ("DELETE", "/v1/models/half_plus_two"),
    ("PATCH", PREDICT),
]


@pytest.mark.parametrize(("method", "path"), MALFORMED)
def test_malformed(rest_client: RestClient, method: str, path: str) -> None:
    reply = rest_client.session.request(method, rest_client.url + path, json=BODY if method != "GET" else None)
    assert (reply.status_code, reply.json()) == (400, {"error": f"Malformed request: {method} {path}"})
    assert reply.headers["Content-Type"] == "application/json"


def test_head_is_malformed_and_has_no_body(rest_client: RestClient) -> None:
    reply = rest_client.session.head(rest_client.url + "/v1/models/half_plus_two")
    assert (reply.status_code, reply.content) == (400, b"")
    assert rest_client.get("/v1/models/half_plus_two").status_code == 200


def test_missing_model_name(rest_client: RestClient) -> None:
    reply = rest_client.get("/v1/models")
    assert (reply.status_code, reply.json()) == (400, {"error": "Missing model name in request."})


def test_version_that_fits_no_integer(rest_client: RestClient) -> None:
    reply = rest_client.post("/v1/models/half_plus_two/versions/99999999999999999999:predict", BODY)
    assert (reply.status_code, reply.headers["Content-Type"]) == (400, "application/json")


@pytest.mark.parametrize("path", ["/", "/v1", "/health", "/v2/models", "/monitoring/prometheus"])
def test_other_paths_get_a_page(rest_client: RestClient, path: str) -> None:
    reply = rest_client.get(path)
    assert (reply.status_code, reply.text) == (404, NOT_FOUND_PAGE)
    assert reply.headers["Content-Type"].startswith("text/html")


def test_metadata_in_capitals_is_status(rest_client: RestClient) -> None:
    assert "model_version_status" in rest_client.get("/v1/models/half_plus_two/METADATA").json()


def test_headers_of_an_answer(rest_client: RestClient) -> None:
    reply = rest_client.post(PREDICT, BODY)
    assert reply.headers["Content-Type"] == "application/json"
    assert int(reply.headers["Content-Length"]) == len(reply.content)
    assert "Date" in reply.headers
    assert "Transfer-Encoding" not in reply.headers


def test_layout_of_an_error(rest_client: RestClient) -> None:
    reply = rest_client.predict("none", BODY)
    assert reply.text == '{\n    "error": "Servable not found for request: Latest(none)"\n}'


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "image/png"])
def test_request_content_type_is_ignored(rest_client: RestClient, content_type: str) -> None:
    headers = {"Content-Type": content_type, "Accept": "text/html"}
    reply = rest_client.post(PREDICT, json.dumps(BODY), headers=headers)
    assert (reply.status_code, reply.json()) == (200, ANSWER)


def test_gzip_request(rest_client: RestClient) -> None:
    body = gzip.compress(json.dumps(BODY).encode())
    reply = rest_client.post(PREDICT, body, headers={"Content-Encoding": "gzip"})
    assert (reply.status_code, reply.json()) == (200, ANSWER)


def test_bad_gzip(rest_client: RestClient) -> None:
    for body in (b"not gzip", b"", gzip.compress(json.dumps(BODY).encode())[:-9]):
        reply = rest_client.post(PREDICT, body, headers={"Content-Encoding": "gzip"})
        assert reply.status_code == 400
        assert reply.json()["error"]


def test_gzip_that_unfolds_to_gigabytes(rest_client: RestClient) -> None:
    compressor = zlib.compressobj(wbits=31)
    block = compressor.compress(b" " * 100_000_000)
    bomb = block + b"".join(compressor.compress(b" " * 100_000_000) for _ in range(20)) + compressor.flush()
    reply = rest_client.post(PREDICT, bomb, headers={"Content-Encoding": "gzip"})
    assert reply.status_code in (400, 413, 429)
    assert rest_client.post(PREDICT, BODY).json() == ANSWER


def test_chunked_request(rest_client: RestClient) -> None:
    text = json.dumps(BODY).encode()
    reply = rest_client.session.post(rest_client.url + PREDICT, data=iter([text[:5], text[5:]]))
    assert (reply.status_code, reply.json()) == (200, ANSWER)


def test_expect_continue(server: ServerProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=10)
    text = json.dumps(BODY).encode()
    connection.putrequest("POST", PREDICT)
    connection.putheader("Content-Length", str(len(text)))
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    connection.send(text)
    reply = connection.getresponse()
    assert (reply.status, json.loads(reply.read())) == (200, ANSWER)
    connection.close()


def test_http_1_0(server: ServerProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=10)
    connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"  # type: ignore[attr-defined]
    connection.request("POST", PREDICT, json.dumps(BODY))
    reply = connection.getresponse()
    assert (reply.status, json.loads(reply.read())) == (200, ANSWER)
    connection.close()


@pytest.mark.parametrize(("origin", "status"), [("http://a.example", 200), ("https://a.example", 200), (None, 400)])
def test_options(rest_client: RestClient, origin: str | None, status: int) -> None:
    headers = {} if origin is None else {"Origin": origin}
    reply = requests.options(rest_client.url + "/v1/models/none:predict", headers=headers, timeout=10)
    assert (reply.status_code, reply.content) == (status, b"")
    assert "Access-Control-Allow-Origin" not in reply.headers
