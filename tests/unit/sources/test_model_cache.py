# SPDX-License-Identifier: Apache-2.0
import errno
import os
import shutil
import threading
from collections import namedtuple
from pathlib import Path

import pytest

from tensorserve.errors import Code, ServingError
from tensorserve.sources import model_cache
from tensorserve.sources.model_cache import ModelCache
from tensorserve.sources.object_store import ObjectStore, RemoteFile
from tests.unit.fakes import eventually
from tests.unit.sources.saved_models import model_files, write

pytest.importorskip("fsspec")

DATA = "variables/variables.data-00001-of-00002"


class Store(ObjectStore):
    """Counts downloads, and fails or waits at the file that it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.downloaded: list[str] = []
        self.errors: dict[str, BaseException] = {}
        self.gates: dict[str, threading.Event] = {}

    def download(self, version_url: str, file: RemoteFile, path: str) -> None:
        name = os.path.basename(file.url)
        self.downloaded.append(name)
        if name in self.gates:
            assert self.gates[name].wait(10)
        if name in self.errors:
            Path(path).write_bytes(b"a part")
            raise self.errors[name]
        super().download(version_url, file, path)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    write(tmp_path / "m" / "1", model_files())
    return tmp_path / "m"


@pytest.fixture
def cache(tmp_path: Path, store: Store) -> ModelCache:
    return ModelCache(str(tmp_path / "cache"), store)


def url(base: Path, version: int = 1) -> str:
    return f"local://{base}/{version}"


def content(folder: str) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


def entries(tmp_path: Path) -> list[str]:
    """What is in the cache, without digests."""
    return sorted(name.rpartition("-")[0] for folder in (tmp_path / "cache").iterdir() for name in os.listdir(folder))


def test_fetches_once(cache: ModelCache, store: Store, base: Path) -> None:
    path = cache.fetch(url(base))
    assert content(path) == model_files()
    assert cache.fetch(url(base)) == path
    assert len(store.downloaded) == len(model_files())


def test_another_server_finds_what_is_there(cache: ModelCache, store: Store, base: Path, tmp_path: Path) -> None:
    path = cache.fetch(url(base))
    cache.close()
    assert ModelCache(str(tmp_path / "cache"), store).fetch(url(base)) == path
    assert len(store.downloaded) == len(model_files())


def test_changed_files_are_fetched_anew(cache: ModelCache, base: Path) -> None:
    before = cache.fetch(url(base))
    write(base / "1", {DATA: b"y" * 300})
    after = cache.fetch(url(base))
    assert after != before
    assert content(after)[DATA] == b"y" * 300
    assert content(before) == model_files()


def test_an_interrupted_download_is_resumed(cache: ModelCache, store: Store, base: Path, tmp_path: Path) -> None:
    last = os.path.basename(DATA)
    store.errors[last] = ConnectionResetError(errno.ECONNRESET, "reset")
    with pytest.raises(ServingError, match="Could not download local:"):
        cache.fetch(url(base))
    assert entries(tmp_path) == [".partial-1"]
    del store.errors[last]
    kept = {name for name in store.downloaded if name != last}
    store.downloaded.clear()
    assert content(cache.fetch(url(base))) == model_files()
    assert last in store.downloaded
    assert not kept & set(store.downloaded)


def test_a_full_disk_is_reported_and_not_kept_full(cache: ModelCache, store: Store, base: Path, tmp_path: Path) -> None:
    store.errors[os.path.basename(DATA)] = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(ServingError, match=r"No space in .*--model_cache_dir") as caught:
        cache.fetch(url(base))
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert entries(tmp_path) == []


def test_what_does_not_fit_is_not_begun(
    cache: ModelCache, store: Store, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")(100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ServingError) as caught:
        cache.fetch(url(base))
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert store.downloaded == []


def test_a_short_file_is_refused(cache: ModelCache, store: Store, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectStore, "download", lambda self, url, file, path: Path(path).write_bytes(b"short"))
    with pytest.raises(ServingError, match=r": 5 of \d+ bytes arrived") as caught:
        cache.fetch(url(base))
    assert caught.value.code is Code.DATA_LOSS


def test_half_a_version_is_not_given_out(cache: ModelCache, base: Path, tmp_path: Path) -> None:
    write(base / "1", {DATA: b"x" * 100})
    with pytest.raises(ServingError, match=f"is incomplete: {DATA} has 100 of 200 bytes") as caught:
        cache.fetch(url(base))
    assert caught.value.code is Code.UNAVAILABLE
    write(base / "1", model_files())
    assert content(cache.fetch(url(base))) == model_files()


def test_a_download_that_is_not_wanted_any_more_ends(cache: ModelCache, store: Store, base: Path) -> None:
    with pytest.raises(ServingError) as caught:
        cache.fetch(url(base), lambda: False)
    assert caught.value.code is Code.CANCELLED
    assert store.downloaded == []


def test_two_servers_download_once(cache: ModelCache, store: Store, base: Path, tmp_path: Path) -> None:
    store.gates["saved_model.pb"] = threading.Event()
    other = ModelCache(str(tmp_path / "cache"), store)
    paths: list[str] = []
    threads = [threading.Thread(target=lambda c=c: paths.append(c.fetch(url(base)))) for c in (cache, other)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: "saved_model.pb" in store.downloaded)
    store.gates["saved_model.pb"].set()
    for thread in threads:
        thread.join()
    assert len(paths) == 2
    assert len(set(paths)) == 1
    assert len(store.downloaded) == len(model_files())


def test_what_is_not_wanted_is_removed_unless_it_is_used(cache: ModelCache, base: Path, tmp_path: Path) -> None:
    for version in (2, 3):
        write(base / str(version), model_files())
    for version in (1, 2, 3):
        cache.fetch(url(base, version))
    other = ModelCache(str(tmp_path / "cache"), Store())
    other.fetch(url(base, 1))
    for version in (1, 2):
        cache.release(url(base, version))
    cache.retain(f"local://{base}", {2})
    assert entries(tmp_path) == ["1", "2", "3"]  # 1 and 3 are still used
    other.release(url(base, 1))
    cache.release(url(base, 3))
    cache.retain(f"local://{base}", {2})
    assert entries(tmp_path) == ["2"]
    cache.retain(f"local://{base}", ())
    assert entries(tmp_path) == []


def test_what_a_killed_download_left_is_removed_with_its_version(cache: ModelCache, base: Path, tmp_path: Path) -> None:
    path = Path(cache.fetch(url(base)))
    for name in (".partial-7-0123", ".removed-8-0123"):
        (path.parent / name).mkdir()
    for name in (".partial-7-0123.lock", ".partial-9-0123.lock"):
        (path.parent / name).touch()
    cache.retain(f"local://{base}", {1})
    assert os.listdir(path.parent) == [path.name]


def test_base_paths_do_not_meet(cache: ModelCache, tmp_path: Path) -> None:
    for name in ("a/b", "a_b"):
        write(tmp_path / name / "1", {"saved_model.pb": model_files(shards=0)["saved_model.pb"]})
    assert cache.fetch(f"local://{tmp_path}/a/b/1") != cache.fetch(f"local://{tmp_path}/a_b/1")


def test_default_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert model_cache.default_cache_folder() == "/somewhere/tensorserve/models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/users/me")
    assert model_cache.default_cache_folder() == "/users/me/.cache/tensorserve/models"
