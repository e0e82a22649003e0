# SPDX-License-Identifier: Apache-2.0
"""Versions of object stores, kept in a local folder.

```
<folder>/<base path>-<digest>/<version>-<digest>/            a whole version
                             /.partial-<version>-<digest>/   one that is being downloaded
```

The digest of a version is one of its files' names, sizes and tags, so what is in a folder never changes, and several
servers can share a cache. Who uses a version holds a shared lock on its folder, who downloads or removes one an
exclusive lock; the system drops them when a process dies.
"""

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import re
import shutil
import threading
from collections.abc import Callable, Collection, Iterator, Mapping

from tensorserve.errors import Code, ServingError
from tensorserve.sources.completeness import inspect_saved_model
from tensorserve.sources.object_store import ObjectStore, RemoteFile
from tensorserve.sources.storage import Completeness

logger = logging.getLogger(__name__)

_PARALLEL_DOWNLOADS = 8
_PARTIAL = ".partial-"
_REMOVED = ".removed-"
_LOCK = ".lock"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_Files = Mapping[str, RemoteFile]


def default_cache_folder() -> str:
    """Where versions are kept unless `--model_cache_dir` says otherwise."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(root, "tensorserve", "models")


class ModelCache:
    """Downloads versions, and keeps them as long as they are wanted.

    Args:
        folder: Where to keep them.
        store: Where they come from.
    """

    def __init__(self, folder: str, store: ObjectStore) -> None:
        self._folder = folder
        self._store = store
        self._in_use: dict[str, dict[str, int]] = {}
        self._lock = threading.Lock()

    def fetch(self, url: str, is_wanted: Callable[[], bool] = lambda: True) -> str:
        """Gives a version's local folder; downloads what is not there yet. Called on load threads.

        What an interrupted download left is taken over, file by file.

        Args:
            url: The version.
            is_wanted: Asked between files; a download that is not wanted any more is ended.

        Raises:
            ServingError: The version cannot be read, is incomplete, or does not fit. CANCELLED: it is not wanted.
        """
        files = self._store.files(url)
        base, version = self._places(url)
        final = os.path.join(base, f"{version}-{_digest(files)}")
        if not self._use(url, final):
            try:
                self._download(url, files, final, is_wanted)
            except OSError as error:
                raise _storage_error(error, url, self._folder) from error
            if not self._use(url, final):
                raise ServingError(Code.ABORTED, f"{final} was removed while it was downloaded")
        return final

    def release(self, url: str) -> None:
        """Says that a version is not used any more."""
        with self._lock:
            handles = self._in_use.pop(url, {})
        for handle in handles.values():
            os.close(handle)

    def retain(self, base_url: str, versions: Collection[int]) -> None:
        """Removes all versions under a base path but these and those that someone uses."""
        base = self._base(base_url)
        try:
            names = os.listdir(base)
        except OSError:
            return
        wanted = {str(version) for version in versions}
        for name in names:
            path = os.path.join(base, name)
            if name.startswith(_REMOVED):
                shutil.rmtree(path, ignore_errors=True)
            elif name.removeprefix(_PARTIAL).rpartition("-")[0] in wanted:
                continue
            elif name.startswith(_PARTIAL):
                _remove_partial(path.removesuffix(_LOCK))
            else:
                _remove_unused(path)

    def close(self) -> None:
        """Gives up all locks; what is in the cache stays for the next server."""
        for url in list(self._in_use):
            self.release(url)

    def _places(self, url: str) -> tuple[str, str]:
        base_url, _slash, version = url.rstrip("/").rpartition("/")
        return self._base(base_url), version

    def _base(self, base_url: str) -> str:
        base_url = base_url.rstrip("/")
        readable = re.sub(r"[^A-Za-z0-9_.-]+", "_", base_url.partition("://")[2])[-60:].lstrip(".")
        return os.path.join(self._folder, f"{readable}-{hashlib.sha256(base_url.encode()).hexdigest()[:12]}")

    def _use(self, url: str, final: str) -> bool:
        """Takes a shared lock on a version that is there."""
        with self._lock:
            if final in self._in_use.get(url, {}):
                return True
        handle = _locked(final, fcntl.LOCK_SH)
        if handle is None:
            return False
        with self._lock:
            self._in_use.setdefault(url, {})[final] = handle
        return True

    def _download(self, url: str, files: _Files, final: str, is_wanted: Callable[[], bool]) -> None:
        partial = os.path.join(os.path.dirname(final), _PARTIAL + os.path.basename(final))
        with _download_lock(partial):
            if os.path.isdir(final):  # Another server was faster.
                return
            os.makedirs(partial, exist_ok=True)
            try:
                self._fill(url, files, partial, is_wanted)
            except OSError as error:
                if error.errno in _NO_SPACE:  # Others need the space, too.
                    shutil.rmtree(partial, ignore_errors=True)
                raise
            os.rename(partial, final)

    def _fill(self, url: str, files: _Files, partial: str, is_wanted: Callable[[], bool]) -> None:
        missing = {name: file for name, file in files.items() if not _is_there(os.path.join(partial, name), file)}
        size = sum(file.size or 0 for file in missing.values())
        if size > shutil.disk_usage(partial).free:
            raise OSError(errno.ENOSPC, f"{size} bytes are to be downloaded")
        logger.info("Downloading %s (%d files, %d bytes) to %s", url, len(missing), size, partial)

        def fetch(name: str) -> None:
            if not is_wanted():
                raise ServingError(Code.CANCELLED, f"{url} is not wanted any more")
            self._fetch_file(url, missing[name], os.path.join(partial, name))

        from concurrent.futures import ThreadPoolExecutor  # Most servers need none, and it takes long to import.

        with ThreadPoolExecutor(_PARALLEL_DOWNLOADS, "download") as pool:
            futures = [pool.submit(fetch, name) for name in missing]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        inspection = inspect_saved_model(partial)
        if inspection.completeness is Completeness.HALF:
            raise ServingError(Code.UNAVAILABLE, f"{url} is incomplete: {inspection.reason}")

    def _fetch_file(self, url: str, file: RemoteFile, path: str) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        arriving = f"{path}.arriving"
        try:
            self._store.download(url, file, arriving)
        except (OSError, ServingError):
            raise
        except Exception as error:
            raise ServingError(Code.UNAVAILABLE, f"{file.url}: {type(error).__name__}: {error}") from error
        size = os.path.getsize(arriving)
        if file.size is not None and size != file.size:
            os.unlink(arriving)
            raise ServingError(Code.DATA_LOSS, f"{file.url}: {size} of {file.size} bytes arrived")
        os.rename(arriving, path)


def _digest(files: _Files) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{files[name].size}\0{files[name].tag}\0".encode())
    return digest.hexdigest()[:16]


def _is_there(path: str, file: RemoteFile) -> bool:
    try:
        return file.size is not None and os.path.getsize(path) == file.size
    except OSError:
        return False


def _locked(path: str, operation: int, flags: int = os.O_RDONLY) -> int | None:
    """A handle with a lock; None if the file or folder is not there, or is another once the lock is granted."""
    try:
        handle = os.open(path, flags, 0o644)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, operation)
        if os.path.samestat(os.fstat(handle), os.stat(path)):
            return handle
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


@contextlib.contextmanager
def _download_lock(partial: str, operation: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Keeps others from downloading the same version.

    The lock is a file of its own, because the folder becomes the version, which its users lock.
    """
    os.makedirs(os.path.dirname(partial), exist_ok=True)
    handle = None
    while handle is None:
        handle = _locked(partial + _LOCK, operation, os.O_RDWR | os.O_CREAT)
    try:
        yield
    finally:
        os.unlink(partial + _LOCK)
        os.close(handle)


def _remove_partial(partial: str) -> None:
    """Removes what a download has left, unless it is under way."""
    try:
        with _download_lock(partial, fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(partial, ignore_errors=True)
    except BlockingIOError:
        pass
    except OSError as error:
        logger.warning("Could not remove %s: %s", partial, error)


def _remove_unused(path: str) -> None:
    """Removes a version unless someone uses it."""
    folder, name = os.path.split(path)
    try:
        handle = _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    if handle is None:
        return
    try:
        removed = os.path.join(folder, f"{_REMOVED}{name}")
        shutil.rmtree(removed, ignore_errors=True)
        os.rename(path, removed)
        shutil.rmtree(removed, ignore_errors=True)
        logger.info("Removed %s, which is not served any more", path)
    except OSError as error:
        logger.warning("Could not remove %s: %s", path, error)
    finally:
        os.close(handle)


def _storage_error(error: OSError, url: str, folder: str) -> ServingError:
    cause = ServingError.wrap(error)
    if error.errno in _NO_SPACE:
        text = f"No space in {folder} for {url}: {error}. Free some, or choose another place with --model_cache_dir."
        return ServingError(Code.RESOURCE_EXHAUSTED, text)
    return ServingError(cause.code, f"Could not download {url} to {folder}: {cause.message}")
