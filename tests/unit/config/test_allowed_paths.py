# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from tensorserve.config.allowed_paths import AllowedBasePaths
from tensorserve.errors import Code, ServingError
from tensorserve.types import ModelConfig


def is_allowed(base_path: object, *places: object) -> bool:
    try:
        AllowedBasePaths(",".join(map(str, places))).check(ModelConfig("m", str(base_path)))
    except ServingError as error:
        return error.code is not Code.PERMISSION_DENIED
    return True


def test_without_places_everything_is() -> None:
    for base_path in ("/etc", "s3://bucket/m", "http://10.0.0.1/m", "local:///etc"):
        assert is_allowed(base_path)
        assert not is_allowed(base_path, "/models")


@pytest.mark.parametrize("inside", ["", "/", "/m", "/m/", "/a/../m", "/./m", "//m", "/..m"])
def test_folders(inside: str, tmp_path: Path) -> None:
    models = tmp_path / "models"
    assert is_allowed(f"{models}{inside}", models)
    assert is_allowed(f"{models}{inside}", "/nowhere", f" {models}/ ")
    assert is_allowed(f"file://{models}{inside}", models)
    assert is_allowed(f"{models}{inside}", f"file://{models}")


@pytest.mark.parametrize("outside", ["-evil", "/../evil", "/m/../../evil", "/link", "/link/m", "/..", "x/../../etc"])
def test_outside_of_folders(outside: str, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (tmp_path / "evil").mkdir()
    (models / "link").symlink_to(tmp_path / "evil")
    assert not is_allowed(f"{models}{outside}", models)
    assert not is_allowed(f"file://{models}{outside}", models)


def test_a_folder_that_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "models").symlink_to(tmp_path / "disk")
    assert is_allowed(tmp_path / "models" / "m", tmp_path / "models")
    assert is_allowed(tmp_path / "disk" / "m", tmp_path / "models")


@pytest.mark.parametrize(
    ("url", "place", "allowed"),
    [
        ("s3://bucket/models", "s3://bucket/models", True),
        ("s3://bucket/models/", "s3://bucket/models", True),
        ("s3://bucket/models/m", "s3://bucket/models/", True),
        ("s3://bucket/models/m", "s3://bucket", True),
        ("s3://any/m", "s3://", True),
        ("https://host:8080/a%20b", "https://host:8080", True),
        ("s3://bucket/models-evil", "s3://bucket/models", False),
        ("s3://bucket-evil/m", "s3://bucket", False),
        ("s3://bucket/models/../evil", "s3://bucket/models", False),
        ("s3://bucket/models/%2e%2e/evil", "s3://bucket/models", False),
        ("s3://bucket/models/%2E./evil", "s3://", False),
        ("http://host@evil/m", "http://host", False),
        ("http://host:80@evil/m", "http://host", False),
        ("http://host.evil/m", "http://host", False),
        ("http://host\\@evil/m", "http://host", False),
        ("http://host/\\..\\m", "http://host", False),
        ("http://host/m\n", "http://host", False),
        ("http://host/m?u=http://evil", "http://host", False),
        ("s3://bucket/m::http://evil/m", "s3://bucket", False),
        ("simplecache::http://evil/m", "http://", False),
        ("http://evil/m", "s3://", False),
        ("https://host/m", "http://host", False),
        ("HTTP://host/m", "http://host", False),
        ("local:///etc", "/etc", False),
        ("/etc", "s3://", False),
        ("file:///etc", "s3://", False),
        ("s3://bucket/m", "/", False),
        ("memory://m", "file://", False),
    ],
)
def test_urls(url: str, place: str, allowed: bool) -> None:
    assert is_allowed(url, place) is allowed


def test_the_text_names_what_is_allowed() -> None:
    with pytest.raises(ServingError) as caught:
        AllowedBasePaths("/models, s3://bucket").check(ModelConfig("m", "/etc"))
    assert caught.value.message == (
        "Model m may not be served from /etc: that is not within --allowed_base_paths (/models, s3://bucket)."
    )
