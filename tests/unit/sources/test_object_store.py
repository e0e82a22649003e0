# SPDX-License-Identifier: Apache-2.0
import datetime
from pathlib import Path

import pytest

from tensorserve.errors import Code, ServingError
from tensorserve.sources import object_store
from tensorserve.sources.object_store import ObjectStore
from tensorserve.sources.storage import Completeness
from tensorserve.types import ModelConfig, Specific
from tests.unit.sources.saved_models import model_files, write
from tests.unit.sources.web_server import WebServer

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")

DATA = "variables/variables.data-00001-of-00002"


@pytest.fixture(params=["local", "memory", "http"])
def base(request: pytest.FixtureRequest, tmp_path: Path):
    """A base path with the versions 1 and 2, and how to write more files into it."""
    if request.param == "memory":
        url = f"memory://{tmp_path}/m"
        files = fsspec.filesystem("memory")
        add = lambda name, data: files.pipe_file(f"{tmp_path}/m/{name}", data)  # noqa: E731
        remove = lambda name: files.rm(f"{tmp_path}/m/{name}")  # noqa: E731
    else:
        add = lambda name, data: write(tmp_path / "m", {name: data})  # noqa: E731
        remove = lambda name: (tmp_path / "m" / name).unlink()  # noqa: E731
        url = f"local://{tmp_path}/m"
    for version in (1, 2):
        for name, data in model_files().items():
            add(f"{version}/{name}", data)
    add("notes.txt", b"")
    if request.param == "http":
        with WebServer(tmp_path) as server:
            yield f"{server.url}/m", add, remove
    else:
        yield url, add, remove


def test_versions(base) -> None:
    url, add, _remove = base
    store = ObjectStore()
    config = ModelConfig("m", url)
    listing = store.list_versions(config)
    assert dict(listing.paths) == {1: f"{url}/1", 2: f"{url}/2"}
    assert store.list_versions(config, listing) is listing
    add("003/saved_model.pb", b"")
    assert store.list_versions(config, listing).paths[3] == f"{url}/003"


def test_files(base) -> None:
    url, _add, _remove = base
    files = ObjectStore().files(f"{url}/1")
    assert {name: file.size for name, file in files.items()} == {n: len(d) for n, d in model_files().items()}


def test_contents_change_with_the_files(base) -> None:
    url, add, _remove = base
    store = ObjectStore()
    config = ModelConfig("m", url)
    before = store.inspect(config, f"{url}/1")
    assert store.inspect(config, f"{url}/1").contents == before.contents
    add("1/assets.extra/more", b"x")
    assert store.inspect(config, f"{url}/1").contents != before.contents


@pytest.mark.parametrize(
    ("missing", "completeness", "reason"),
    [
        ([], Completeness.UNPROVEN, ""),
        ([DATA], Completeness.HALF, f"there is no {DATA}"),
        (["variables/variables.index"], Completeness.HALF, "there is no variables/variables.index"),
        (["saved_model.pb"], Completeness.HALF, "there is no saved_model.pb"),
        (sorted(model_files()), Completeness.UNRECOGNIZED, "there is no saved_model.pb"),
    ],
)
def test_completeness_by_names(base, missing: list[str], completeness: Completeness, reason: str) -> None:
    url, _add, remove = base
    for name in missing:
        remove(f"1/{name}")
    inspection = ObjectStore().inspect(ModelConfig("m", url), f"{url}/1")
    assert (inspection.completeness, inspection.reason) == (completeness, reason)


def test_a_base_path_that_is_not_there(base) -> None:
    url, _add, _remove = base
    with pytest.raises(ServingError, match=f"Could not find base path {url}x for servable m with error") as caught:
        ObjectStore().list_versions(ModelConfig("m", f"{url}x"))
    assert caught.value.code is Code.NOT_FOUND


def test_a_server_that_cannot_be_reached() -> None:
    with pytest.raises(ServingError) as caught:
        ObjectStore().list_versions(ModelConfig("m", "http://127.0.0.1:9/m"))
    assert caught.value.code is Code.UNAVAILABLE


def test_a_web_server_without_an_index(tmp_path: Path) -> None:
    files = model_files(assets=["words"])
    write(tmp_path / "m" / "7", files)
    with WebServer(tmp_path, lists=False) as server:
        store = ObjectStore()
        url = f"{server.url}/m"
        with pytest.raises(ServingError):
            store.list_versions(ModelConfig("m", url))
        listing = store.list_versions(ModelConfig("m", url, policy=Specific((7, 8))))
        assert dict(listing.paths) == {7: f"{url}/7"}
        assert {name: file.size for name, file in store.files(f"{url}/7").items()} == {
            n: len(d) for n, d in files.items()
        }


def test_an_unknown_scheme() -> None:
    with pytest.raises(ServingError, match="File system scheme 'nonsense' not implemented") as caught:
        ObjectStore().list_versions(ModelConfig("m", "nonsense://bucket/m"))
    assert caught.value.code is Code.UNIMPLEMENTED


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ImportError("Install gcsfs to access Google Storage")

    monkeypatch.setattr(fsspec, "filesystem", fail)
    with pytest.raises(ServingError, match=r"run: pip install 'tensorserve\[object-stores\]' gcsfs"):
        ObjectStore().list_versions(ModelConfig("m", "gs://bucket/m"))


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "", "a\\b", "?C=N;O=D"])
def test_names_that_lead_elsewhere_are_dropped(name: str) -> None:
    assert not object_store._is_inside(name)


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [
        (0.0, 0.0),
        (12.5, 12.5),
        (datetime.datetime(1970, 1, 1, 0, 1, tzinfo=datetime.timezone.utc), 60.0),
        ("Thu, 01 Jan 1970 00:01:00 GMT", 60.0),
        ("1970-01-01T00:01:00Z", 60.0),
        ("soon", 0.0),
        ("soon, or later", 0.0),
    ],
)
def test_times(moment: object, seconds: float) -> None:
    assert object_store._seconds(moment) == seconds


def test_endpoint_by_the_names_of_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_ENDPOINT", "store.example:9000")
    monkeypatch.setenv("S3_USE_HTTPS", "0")
    assert object_store._storage_options("s3")["endpoint_url"] == "http://store.example:9000"
    assert "endpoint_url" not in object_store._storage_options("gs")
