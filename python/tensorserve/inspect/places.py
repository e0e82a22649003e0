# SPDX-License-Identifier: Apache-2.0
"""What can be inspected: a version, a base path, the same in an object store, a running server."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from urllib.parse import urlsplit

from tensorserve.errors import Code, ServingError
from tensorserve.inspect.description import Model
from tensorserve.inspect.version import describe_version
from tensorserve.sources.completeness import INDEX, SAVED_MODEL
from tensorserve.sources.storages import is_object_store
from tensorserve.sources.version_directory import version_number

_TEXT_MODEL = "saved_model.pbtxt"
_FINGERPRINT = "fingerprint.pb"
_MODELS = (SAVED_MODEL, _TEXT_MODEL, "saved_model.cpb")
_MOST_FILES = 100_000


def inspect_model(
    place: str | os.PathLike[str], tags: Collection[str] = ("serve",), version: int | None = None
) -> Model:
    """Describes a model.

    Args:
        place: The folder of a version, a base path (its newest version is described), a URL of either, or a running
            server: `http://HOST:PORT`, for one of several models `http://HOST:PORT/v1/models/NAME`, over gRPC
            `grpc://HOST:PORT/NAME`.
        tags: Tag set of the graph to describe, where there are several.
        version: The version to describe, of a base path.

    Raises:
        ServingError: NOT_FOUND if there is no model, DATA_LOSS if it is damaged, and what the place itself answers.
    """
    place = os.fspath(place)
    if is_running_server(place):
        from tensorserve.inspect.server import describe_server

        return describe_server(place, version)
    try:
        if is_object_store(place):
            return _describe_remote(place, tags, version)
        return _describe_local(place.removeprefix("file://"), tags, version)
    except OSError as error:
        raise ServingError.wrap(error) from error


def is_running_server(place: str) -> bool:
    """Whether a URL is that of a server, and not of files on a web server."""
    parts = urlsplit(place)
    if parts.scheme in ("grpc", "grpcs"):
        return True
    return parts.scheme in ("http", "https") and (parts.path in ("", "/") or "/v1/models/" in parts.path)


def _describe_local(place: str, tags: Collection[str], version: int | None) -> Model:
    place = os.path.abspath(place)
    if os.path.isfile(place):
        place = _folder_of(place)
    names = os.listdir(place)
    versions: tuple[int, ...] = ()
    if not set(names) & set(_MODELS):
        folders = {number: name for name in sorted(names) if (number := version_number(name)) is not None}
        chosen = _choose(place, folders, version)
        versions, place = tuple(sorted(folders)), os.path.join(place, folders[chosen])
    return describe_version(place, _files(place), place, tags, versions)


def _folder_of(file: str) -> str:
    """The version that a file is the graph of."""
    if os.path.basename(file) in _MODELS:
        return os.path.dirname(file)
    text = f"{file} is a file, and no SavedModel. Make a version of it with `tensorserve export {file} BASE_PATH`."
    raise ServingError(Code.INVALID_ARGUMENT, text)


def _describe_remote(url: str, tags: Collection[str], version: int | None) -> Model:
    from tensorserve.sources.object_store import ObjectStore

    store, url = ObjectStore(), url.rstrip("/")
    versions: tuple[int, ...] = ()
    names = store.names(url)
    if not set(names) & set(_MODELS):
        folders = {number: name for name in sorted(names) if (number := version_number(name)) is not None}
        chosen = _choose(url, folders, version)
        versions, url = tuple(sorted(folders)), f"{url}/{folders[chosen]}"
    files = store.files(url)
    with tempfile.TemporaryDirectory() as folder:
        # What is large, the variables' data, stays where it is.
        for name in {SAVED_MODEL, _TEXT_MODEL, INDEX, _FINGERPRINT} & files.keys():
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            store.download(url, files[name], path)
        return describe_version(url, {name: file.size or 0 for name, file in files.items()}, folder, tags, versions)


def _choose(place: str, folders: Collection[int], version: int | None) -> int:
    if not folders:
        text = (
            f"{place} holds neither {SAVED_MODEL} nor numbered versions of a model. Export one there with "
            f"`tensorserve export MODEL {place}`, or name the folder that {SAVED_MODEL} lies in."
        )
        raise ServingError(Code.NOT_FOUND, text)
    if version is not None and version not in folders:
        there = ", ".join(map(str, sorted(folders)))
        raise ServingError(Code.NOT_FOUND, f"{place} has no version {version}; there are: {there}")
    return max(folders) if version is None else version


def _files(folder: str) -> dict[str, int]:
    """Size of every file, by its path in the folder."""
    found: dict[str, int] = {}
    for root, _folders, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            if len(found) < _MOST_FILES and os.path.isfile(path):
                found[os.path.relpath(path, folder)] = os.path.getsize(path)
    return found
