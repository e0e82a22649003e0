# SPDX-License-Identifier: Apache-2.0
"""Whether a version directory holds a whole SavedModel, or one that is still being copied.

What can be proven by the formats of the files is: `saved_model.pb` says how long it is and which assets there are,
`variables.index` says how long it is and how long the data files are. So most half copies are recognized at once, and
most whole models are, without waiting for a quiet moment.
"""

import json
import os
from collections.abc import Iterator, Mapping

from tensorserve.files import special_kind
from tensorserve.sources.protobuf_fields import MalformedError, TruncatedError
from tensorserve.sources.saved_model_file import NamedFiles, has_variables, named_files
from tensorserve.sources.storage import Completeness, Inspection
from tensorserve.sources.variables_index import shard_name, shard_sizes

SAVED_MODEL = "saved_model.pb"
_UNPROVABLE_MODELS = ("saved_model.pbtxt", "saved_model.cpb", "model.tflite")
# It is refused when it is loaded, with a text of its own, as are files that are no files.
_SESSION_BUNDLE = "export.meta"
VARIABLES = "variables"
INDEX = "variables/variables.index"
_DATA = "variables/variables.data-"
FILE_LIST = "assets.extra/tensorserve_files.json"
"""Says how large each of the files is, as `{"files": {path: bytes}}`; `tensorserve export` writes it.

The formats of assets and warm-up requests do not tell whether they are whole.
"""
_LARGEST_FILE_LIST = 1 << 22
_ASSETS = "assets/"
_EXTRA_ASSETS = "assets.extra/"
# More entries than any model has; looking at all of a directory that is no model could take for ever.
_MOST_ENTRIES = 20_000

_Files = Mapping[str, os.stat_result]


class _HalfError(Exception):
    """It cannot be loaded, and why."""


def inspect_saved_model(path: str) -> Inspection:
    """Looks into a version directory.

    Raises:
        OSError: It cannot be read.
    """
    if not os.path.isdir(path):
        return Inspection(Completeness.WHOLE)  # A file fails when it is loaded, where the reason is visible.
    files = dict(_entries(path, ""))
    completeness, reason = _judge(path, files)
    contents = {name: (stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in files.items()}
    last_change = max((_last_change(stat) for stat in files.values()), default=os.stat(path).st_mtime)
    return Inspection(completeness, reason, contents, last_change)


def _entries(folder: str, prefix: str, depth: int = 0) -> Iterator[tuple[str, os.stat_result]]:
    """Everything in a directory, by its path in it; directories end in a slash."""
    with os.scandir(folder) as entries:
        for count, entry in enumerate(entries):
            if count >= _MOST_ENTRIES:
                return
            try:
                stat = entry.stat()
                is_folder = entry.is_dir()
            except FileNotFoundError:  # A dangling link, or gone meanwhile.
                continue
            yield f"{prefix}{entry.name}{'/' if is_folder else ''}", stat
            if is_folder and depth < 3:
                yield from _entries(entry.path, f"{prefix}{entry.name}/", depth + 1)


def _last_change(stat: os.stat_result) -> float:
    # Copying can preserve the time of modification, but not that of the change of the inode.
    return max(stat.st_mtime, stat.st_ctime)


def _judge(path: str, files: _Files) -> tuple[Completeness, str]:
    if _SESSION_BUNDLE in files or any(special_kind(status.st_mode) for status in files.values()):
        return Completeness.WHOLE, ""
    try:
        if SAVED_MODEL in files:
            return _judge_saved_model(path, files)
        _check_variables(path, files)
    except _HalfError as half:
        return Completeness.HALF, str(half)
    if any(name in files for name in _UNPROVABLE_MODELS):
        return Completeness.UNPROVEN, ""
    if f"{VARIABLES}/" in files:
        return Completeness.HALF, f"there is no {SAVED_MODEL}"
    return Completeness.UNRECOGNIZED, f"there is no {SAVED_MODEL}"


def _judge_saved_model(path: str, files: _Files) -> tuple[Completeness, str]:
    try:
        named = named_files(os.path.join(path, SAVED_MODEL))
    except TruncatedError:
        raise _HalfError(f"{SAVED_MODEL} ends too early, after {files[SAVED_MODEL].st_size} bytes") from None
    except MalformedError:
        return Completeness.WHOLE, ""  # Loading it says what is wrong.
    proven = _check_variables(path, files)
    _check_named(path, named, files)
    extra = any(name.startswith((_ASSETS, _EXTRA_ASSETS)) and not name.endswith("/") for name in files)
    whole = proven and (not extra or _is_as_listed(path, files))
    return (Completeness.WHOLE if whole else Completeness.UNPROVEN), ""


def _is_as_listed(path: str, files: _Files) -> bool:
    """Whether the version says how large each of its files is, and they are."""
    if FILE_LIST not in files or files[FILE_LIST].st_size > _LARGEST_FILE_LIST:
        return False
    try:
        with open(os.path.join(path, FILE_LIST), "rb") as file:
            listed = json.load(file)["files"]
        listed[FILE_LIST] = files[FILE_LIST].st_size
    except (ValueError, KeyError, TypeError):
        return False
    return all(name.endswith("/") or listed.get(name) == stat.st_size for name, stat in files.items()) and all(
        name in files for name in listed
    )


def _check_named(path: str, named: NamedFiles, files: _Files) -> None:
    """Whether there is what the graph needs.

    Raises:
        _HalfError: It is not there.
    """
    # A frozen graph may still name the op that once restored its variables.
    if named.restores and INDEX not in files and has_variables(os.path.join(path, SAVED_MODEL)):
        raise _HalfError(f"there is no {INDEX}, although the graph has variables")
    for name in sorted(named.assets):
        if f"{_ASSETS}{name}" not in files:
            raise _HalfError(f"there is no {_ASSETS}{name}")


def _check_variables(path: str, files: _Files) -> bool:
    """Whether the sizes of all variable files are proven.

    Raises:
        _HalfError: One is missing or too short.
    """
    if INDEX not in files:
        if any(name.startswith(_DATA) for name in files):
            raise _HalfError(f"there is no {INDEX}")
        return True
    index = files[INDEX]
    try:
        sizes = shard_sizes(os.path.join(path, INDEX), index.st_size, index.st_mtime_ns)
    except TruncatedError:
        raise _HalfError(f"{INDEX} is not the whole file, with {index.st_size} bytes") from None
    except MalformedError:
        return False
    for shard, least_bytes in sorted(sizes.least_bytes.items()):
        name = f"{VARIABLES}/{shard_name(shard, sizes.num_shards)}"
        if name not in files:
            raise _HalfError(f"there is no {name}")
        if files[name].st_size < least_bytes:
            raise _HalfError(f"{name} has {files[name].st_size} of {least_bytes} bytes")
    return True
