# SPDX-License-Identifier: Apache-2.0
"""Versions in object stores and on web servers: any URL that fsspec can read.

A look costs one LIST request for each base path. fsspec and the package for the URL's scheme are optional, and
imported when the first URL is met. Credentials and endpoints come from where those packages look for them.
"""

from __future__ import annotations

import datetime
import io
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tensorserve.errors import Code, ServingError
from tensorserve.sources.completeness import INDEX, SAVED_MODEL, VARIABLES
from tensorserve.sources.saved_model_file import read_named_files
from tensorserve.sources.storage import Completeness, Inspection, VersionListing
from tensorserve.sources.variables_index import read_shard_sizes, shard_name
from tensorserve.sources.version_directory import base_path_error, version_listing
from tensorserve.types import ModelConfig, Specific

_DATA = f"{VARIABLES}/variables.data-"
_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "http": "aiohttp",
    "https": "aiohttp",
}
_WEB = ("http", "https")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What a store says of a file.

    Attributes:
        url: What to read it by, as its file system spells it.
        size: In bytes; None if the store does not say.
        tag: Changes when the content does; empty if the store has none.
        modified: When it was written, in seconds since the epoch; 0 if the store does not say.
    """

    url: str
    size: int | None
    tag: str
    modified: float


class ObjectStore:
    """Lists and inspects versions by URL, and fetches their files. A `Storage`."""

    def __init__(self) -> None:
        self._file_systems: dict[str, Any] = {}
        self._lock = threading.Lock()

    def list_versions(self, config: ModelConfig, known: VersionListing | None = None) -> VersionListing:
        try:
            names = self._names(config)
        except Exception as error:
            raise base_path_error(config.name, config.base_path, _wrap(error)) from error
        if known is not None and known.names == names:
            return known
        return version_listing(config.name, config.base_path, config.base_path.rstrip("/"), names)

    def inspect(self, config: ModelConfig, path: str) -> Inspection:
        files = self.files(path)
        completeness, reason = _judge(files)
        contents = {name: (file.size, file.tag, file.modified) for name, file in files.items()}
        last_change = max((file.modified for file in files.values()), default=0.0)
        return Inspection(completeness, reason, contents, last_change)

    def names(self, url: str) -> tuple[str, ...]:
        """The names right below a URL.

        Raises:
            ServingError: They cannot be listed.
        """
        try:
            return self._names(ModelConfig("", url))
        except Exception as error:
            raise _wrap(error) from error

    def files(self, url: str) -> Mapping[str, RemoteFile]:
        """All files of a version, by their path in it.

        Raises:
            ServingError: They cannot be listed.
        """
        try:
            file_system, root = self._open(url)
            found = file_system.find(root.rstrip("/"), detail=True)
            if not found and _scheme(url) in _WEB:
                return self._unlisted_files(file_system, root.rstrip("/"))
            files = {_relative(name, root): _remote_file(file_system, name, info) for name, info in found.items()}
            return {name: file for name, file in files.items() if _is_inside(name)}
        except Exception as error:
            raise _wrap(error) from error

    def download(self, version_url: str, file: RemoteFile, path: str) -> None:
        """Copies a file into the local file system.

        Raises:
            OSError: It cannot be written.
            Exception: It cannot be read; of the store's own kind.
        """
        file_system, _root = self._open(version_url)
        file_system.get_file(file.url, path)

    def _names(self, config: ModelConfig) -> tuple[str, ...]:
        """The names below a base path; on a web server without an index, those that are asked for and there."""
        file_system, root = self._open(config.base_path)
        explicit = config.policy.versions if isinstance(config.policy, Specific) else ()
        try:
            # Some stores remember listings, each with its own word for not to.
            file_system.invalidate_cache()
            found = file_system.ls(root.rstrip("/") + ("/" if _scheme(config.base_path) in _WEB else ""), detail=False)
        except Exception:
            if not explicit or _scheme(config.base_path) not in _WEB:
                raise
            found = []
        names = {_relative(name, root).split("/")[0] for name in found}
        if _scheme(config.base_path) in _WEB:
            base = root.rstrip("/")
            missing = (str(version) for version in explicit if str(version) not in names)
            names |= {name for name in missing if file_system.exists(f"{base}/{name}/{SAVED_MODEL}")}
        return tuple(sorted(names - {""}))

    def _unlisted_files(self, file_system: Any, root: str) -> Mapping[str, RemoteFile]:
        """The files of a version on a web server that does not list them; the model says what else belongs to it."""
        names = [SAVED_MODEL, INDEX, "fingerprint.pb", "assets.extra/tf_serving_warmup_requests"]
        names = [name for name in names if file_system.exists(f"{root}/{name}")]
        if SAVED_MODEL in names:
            model = io.BytesIO(file_system.cat_file(f"{root}/{SAVED_MODEL}"))
            names += [f"assets/{name}" for name in sorted(read_named_files(model).assets)]
        if INDEX in names:
            sizes = read_shard_sizes(io.BytesIO(file_system.cat_file(f"{root}/{INDEX}")))
            names += [f"{VARIABLES}/{shard_name(shard, sizes.num_shards)}" for shard in sorted(sizes.least_bytes)]
        return {name: _remote_file(file_system, f"{root}/{name}", {}) for name in names if _is_inside(name)}

    def _open(self, url: str) -> tuple[Any, str]:
        """The file system of a URL, and how it spells the URL."""
        scheme = _scheme(url)
        with self._lock:
            if scheme not in self._file_systems:
                self._file_systems[scheme] = _open_file_system(scheme)
            file_system = self._file_systems[scheme]
        return file_system, str(file_system._strip_protocol(url))


def _scheme(url: str) -> str:
    return url.partition("://")[0]


def _open_file_system(scheme: str) -> Any:
    package = _PACKAGES.get(scheme, "")
    try:
        import fsspec

        return fsspec.filesystem(scheme, **_storage_options(scheme))
    except ImportError as error:
        extra = f"pip install 'tensorserve[object-stores]' {package}".rstrip()
        text = f"Reading {scheme}:// needs a package that is not installed ({error}); run: {extra}"
        raise ServingError(Code.UNIMPLEMENTED, text) from error
    except ValueError as error:
        raise ServingError(Code.UNIMPLEMENTED, f"File system scheme '{scheme}' not implemented: {error}") from error


def _storage_options(scheme: str) -> dict[str, Any]:
    options: dict[str, Any] = {"use_listings_cache": False}
    endpoint = os.environ.get("S3_ENDPOINT")
    if _PACKAGES.get(scheme) == "s3fs" and endpoint:
        # TensorFlow's own names for this; AWS_ENDPOINT_URL works without us.
        protocol = "http" if os.environ.get("S3_USE_HTTPS") == "0" else "https"
        options["endpoint_url"] = endpoint if "://" in endpoint else f"{protocol}://{endpoint}"
    return options


def _relative(name: str, root: str) -> str:
    return name[len(root.rstrip("/")) :].strip("/") if name.startswith(root.rstrip("/")) else ""


def _is_inside(name: str) -> bool:
    """Whether a name stays in the folder that it is put into."""
    return bool(name) and not name.startswith("/") and ".." not in name.split("/") and not set("\\?#") & set(name)


def _remote_file(file_system: Any, name: str, info: Mapping[str, Any]) -> RemoteFile:
    if info.get("size") is None:
        info = file_system.info(name)
    tag = next((info[key] for key in ("ETag", "etag", "generation", "md5Hash", "content_md5") if info.get(key)), "")
    keys = ("LastModified", "last_modified", "Last-Modified", "updated", "mtime", "created")
    modified = next((info[key] for key in keys if info.get(key)), 0.0)
    return RemoteFile(name, info.get("size"), str(tag) or str(modified), _seconds(modified))


def _seconds(moment: object) -> float:
    """A store's time in seconds since the epoch; 0 for what is not understood."""
    if isinstance(moment, datetime.datetime):
        return moment.timestamp()
    if isinstance(moment, (int, float)):
        return float(moment)
    try:
        if "," in str(moment):
            import email.utils  # It takes long, and is for web servers only.

            return email.utils.parsedate_to_datetime(str(moment)).timestamp()
        return datetime.datetime.fromisoformat(str(moment).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0


def _judge(files: Mapping[str, RemoteFile]) -> tuple[Completeness, str]:
    """What the names alone say; the rest is proven after the download."""
    data = sorted(name for name in files if name.startswith(_DATA))
    if SAVED_MODEL not in files:
        halves = [name for name in files if name.startswith(f"{VARIABLES}/")]
        model = any(name in files for name in ("saved_model.pbtxt", "saved_model.cpb", "model.tflite"))
        completeness = Completeness.HALF if halves else Completeness.UNRECOGNIZED
        return (Completeness.UNPROVEN, "") if model else (completeness, f"there is no {SAVED_MODEL}")
    if (INDEX in files) != bool(data):
        return Completeness.HALF, f"there is no {'data file beside ' if INDEX in files else ''}{INDEX}"
    for name in _siblings(data[0]) if data else ():
        if name not in files:
            return Completeness.HALF, f"there is no {name}"
    return Completeness.UNPROVEN, ""


def _siblings(name: str) -> list[str]:
    """All data files, by the name of one, which says how many there are."""
    count = name.rpartition("-of-")[2]
    if not count.isdigit() or int(count) > 100_000:
        return []
    return [f"{_DATA}{shard:05d}-of-{count}" for shard in range(int(count))]


def _wrap(error: BaseException) -> ServingError:
    """An error of fsspec or of a store's client, with a code."""
    if isinstance(error, ServingError):
        return error
    code = Code.UNAVAILABLE
    if isinstance(error, FileNotFoundError):
        code = Code.NOT_FOUND
    elif isinstance(error, PermissionError) or getattr(error, "status", None) in (401, 403):  # The latter by aiohttp.
        code = Code.PERMISSION_DENIED
    return ServingError(code, f"{type(error).__name__}: {error}")
