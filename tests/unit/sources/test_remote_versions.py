# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass
from pathlib import Path

import pytest

from tensorserve.lifecycle.events import EventBus
from tensorserve.lifecycle.loader import Loader
from tensorserve.lifecycle.manager import Manager, ManagerOptions
from tensorserve.sources.model_cache import ModelCache
from tensorserve.sources.object_store import ObjectStore
from tensorserve.sources.remote_versions import RemoteVersions
from tensorserve.types import AspiredVersion, ServableId
from tests.unit.fakes import PATIENCE_SECONDS, FakeDataPlane, eventually
from tests.unit.sources.saved_models import model_files, write

pytest.importorskip("fsspec")


@dataclass
class FolderLoader:
    path: str

    def load(self) -> str:
        assert (Path(self.path) / "saved_model.pb").exists()
        return self.path


class Bench:
    """A manager whose versions come from a store."""

    def __init__(self, tmp_path: Path) -> None:
        self.base, self.cache = tmp_path / "m", tmp_path / "cache"
        self.plane, bus = FakeDataPlane(), EventBus()
        self.remote = RemoteVersions(ModelCache(str(self.cache), ObjectStore()))
        bus.subscribe(self.remote)
        self.manager: Manager[str] = Manager(self.plane, bus, ManagerOptions(max_load_retries=0))
        self.manager.start()

    def aspire(self, *versions: int) -> None:
        loaders: dict[int, Loader[str]] = {}
        for version in versions:
            if version > 0:
                write(self.base / str(version), model_files())
            found = AspiredVersion(ServableId("m", version), f"local://{self.base}/{version}")
            loaders[version] = self.remote.loader(found, FolderLoader)
        self.manager.set_aspired("m", loaders)

    def cached(self) -> set[int]:
        return {int(path.name.rpartition("-")[0]) for path in self.cache.glob("*/[0-9]*")}

    def stop(self) -> None:
        assert self.manager.stop(PATIENCE_SECONDS)
        self.remote.close()


def test_a_version_stays_in_the_cache_as_long_as_it_is_served(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.aspire(1)
    assert eventually(lambda: bench.plane.versions("m") == {1})
    bench.aspire(2)
    assert eventually(lambda: bench.plane.versions("m") == {2})
    assert eventually(lambda: bench.cached() == {2})
    bench.stop()


def test_the_cache_survives_a_stop(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.aspire(1, 2)
    assert eventually(lambda: bench.plane.versions("m") == {1, 2})
    bench.stop()
    assert bench.cached() == {1, 2}
    bench = Bench(tmp_path)
    bench.aspire(2)
    assert eventually(lambda: bench.plane.versions("m") == {2})
    assert eventually(lambda: bench.cached() == {2})
    bench.stop()


def test_a_version_that_cannot_be_fetched_fails_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.aspire(1, -1)
    assert eventually(lambda: bench.plane.versions("m") == {1})
    bench.stop()


def test_models_may_share_a_base_path(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.aspire(1, 2)
    other = AspiredVersion(ServableId("other", 1), f"local://{bench.base}/1")
    bench.manager.set_aspired("other", {1: bench.remote.loader(other, FolderLoader)})
    assert eventually(lambda: bench.plane.versions("m") == {1, 2} and bench.plane.versions("other") == {1})
    bench.aspire(2)
    assert eventually(lambda: bench.plane.versions("m") == {2})
    bench.aspire()
    assert eventually(lambda: bench.cached() == {1})
    bench.stop()
