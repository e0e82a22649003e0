# SPDX-License-Identifier: Apache-2.0
"""Files that are read while others write them, or that are no files: reading those could wait for ever."""

import errno
import os
import stat

from tensorserve.errors import Code, ServingError

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# More entries than any model has.
_MOST_ENTRIES = 20_000


def special_kind(mode: int) -> str | None:
    """What it is, if it is neither a regular file nor a folder.

    Args:
        mode: `st_mode` of the file that links lead to.
    """
    return _KINDS.get(stat.S_IFMT(mode))


def read_file(path: str) -> bytes:
    """The whole content of a regular file.

    Raises:
        OSError: It cannot be read.
        ServingError: FAILED_PRECONDITION: it is a named pipe, a socket or a device.
    """
    _refuse_special(path, os.stat(path).st_mode)
    # It may have become a pipe by now; opening one would wait for who writes to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        _refuse_special(path, mode)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def refuse_special_files(folder: str) -> None:
    """Raises ServingError (FAILED_PRECONDITION) if there is another thing than regular files and folders in a folder.

    Raises:
        OSError: The folder itself is not there.
    """
    _refuse_special(folder, os.stat(folder).st_mode)
    count = 0
    for place, folders, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            try:
                _refuse_special(path, os.stat(path).st_mode)
            except OSError:  # A dangling link, or gone meanwhile.
                continue
        count += len(folders) + len(names)
        if count > _MOST_ENTRIES:
            return


def _refuse_special(path: str, mode: int) -> None:
    kind = special_kind(mode)
    if kind is not None:
        raise ServingError(Code.FAILED_PRECONDITION, f"{path} is {kind}; it must be a regular file.")
