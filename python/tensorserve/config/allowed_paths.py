# SPDX-License-Identifier: Apache-2.0
"""`--allowed_base_paths`: where models may come from, whoever names them."""

import os

from tensorserve.errors import Code, ServingError
from tensorserve.types import ModelConfig


class AllowedBasePaths:
    """Judges base paths.

    A folder allows itself and what lies below it, with links followed on both sides; a URL the same, and a scheme such
    as `s3://` all of its URLs. A URL that could lead elsewhere than it seems to is never allowed.

    Args:
        places: Folders, URLs and schemes, separated by commas; empty for no limit.
    """

    def __init__(self, places: str) -> None:
        self._places = [place.strip() for place in places.split(",") if place.strip()]

    def check(self, model: ModelConfig) -> None:
        """Raises ServingError (PERMISSION_DENIED): the base path of a model lies elsewhere."""
        if self._places and not any(_is_within(model.base_path, place) for place in self._places):
            raise ServingError(
                Code.PERMISSION_DENIED,
                f"Model {model.name} may not be served from {model.base_path}: that is not within "
                f"--allowed_base_paths ({', '.join(self._places)}).",
            )


def _is_within(base_path: str, place: str) -> bool:
    local, folder = _local(base_path), _local(place)
    if local is None or folder is None:
        return local is folder and _url_is_within(base_path, place)
    return _starts_with(os.path.realpath(local), os.path.realpath(folder))


def _local(path: str) -> str | None:
    """A path of the file system; None for a URL of another scheme."""
    scheme, separator, rest = path.partition("://")
    if not separator:
        return path
    return rest if scheme == "file" else None


def _url_is_within(url: str, place: str) -> bool:
    if place.endswith("://"):
        return url.startswith(place) and _is_plain(url)
    return _starts_with(url, place) and _is_plain(url)


def _is_plain(url: str) -> bool:
    """Whether everybody reads a URL alike: no way up, no second URL behind the first, nothing that is cut off."""
    from urllib.parse import unquote  # Most servers need it not, and it takes long to import.

    decoded = unquote(url)
    rest = decoded.partition("://")[2]
    is_one = "::" not in decoded and "://" not in rest and "\\" not in decoded
    return is_one and decoded.isprintable() and not {".", ".."} & set(rest.split("/"))


def _starts_with(path: str, start: str) -> bool:
    start = start.rstrip("/")
    return path == start or path.startswith(f"{start}/")
