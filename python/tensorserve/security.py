# SPDX-License-Identifier: Apache-2.0
"""Puts the ports within TLS, and takes new certificates when their files change."""

import logging
import os
import threading
from collections.abc import Callable

from tensorserve.config.flags import ServerOptions
from tensorserve.config.ssl_config import read_ssl_config
from tensorserve.data_plane import DataPlane
from tensorserve.errors import ServingError
from tensorserve.loops import Loop

logger = logging.getLogger(__name__)

_POLL_SECONDS = 1.0

# Told a key, certificates and the authorities of clients' certificates.
_Secure = Callable[[str, str, str | None], None]


class Security:
    """The TLS settings of a server's ports."""

    def __init__(self, options: ServerOptions, data_plane: DataPlane) -> None:
        """Reads the files and sets up the ports that are to be opened.

        Raises:
            ServingError: A file cannot be used.
        """
        ports = (
            (options.ssl_config_file, data_plane.secure_grpc),
            (options.rest_ssl_config_file, data_plane.secure_rest),
        )
        self._files = [_File(path, secure) for path, secure in ports if path]
        self._stopped = threading.Event()
        if self._files:
            Loop("security", self._step).start()

    def stop(self) -> None:
        """Looks at the files no more."""
        self._stopped.set()

    def _step(self) -> bool:
        if self._stopped.wait(_POLL_SECONDS):
            return False
        for file in self._files:
            file.refresh()
        return True


class _File:
    def __init__(self, path: str, secure: _Secure) -> None:
        self._path = path
        self._secure = secure
        self._seen = _fingerprint(path)
        self._complaint = ""
        self._load()

    def refresh(self) -> None:
        """Loads the file again if it has changed. One that cannot be used leaves everything as it is.

        That is tried again, since it may be the system that lacks something; the same is said only once.
        """
        seen = _fingerprint(self._path)
        if seen is None or seen == self._seen:
            return
        try:
            self._load()
        except ServingError as error:
            if error.message != self._complaint:
                logger.error("The TLS settings stay as they are: %s", error.message)
            self._complaint = error.message
        else:
            self._seen, self._complaint = seen, ""
            logger.info("New connections use the TLS settings of %s as it is now.", self._path)

    def _load(self) -> None:
        config = read_ssl_config(self._path)
        try:
            self._secure(config.key, config.certificates, config.client_authorities)
        except Exception as error:
            wrapped = ServingError.wrap(error)
            raise ServingError(wrapped.code, f"{self._path}: {wrapped.message}") from error


def _fingerprint(path: str) -> tuple[int, int, int] | None:
    """Changes when the file does, also when another one takes its place; None while there is no file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
