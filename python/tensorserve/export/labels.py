# SPDX-License-Identifier: Apache-2.0
"""Labels of classes, kept in a file of the SavedModel."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import Any

from tensorserve.errors import Code, ServingError

_FILE = "labels.txt"


class Labels:
    """Gives classes their labels.

    Args:
        given: The labels in order, or a file with one on each line; empty to use the classes' numbers.

    Raises:
        ServingError: The file cannot be read, or a label has a line break.
    """

    def __init__(self, given: Sequence[str] | str | os.PathLike[str]) -> None:
        self.owners: tuple[Any, ...] = ()
        self._table: Any = None
        if isinstance(given, (str, os.PathLike)):
            given = _read(os.fspath(given))
        if given:
            self._table = self._make_table(list(map(str, given)))
            self.owners = (self._table,)

    def of(self, classes: Any) -> Any:
        """The labels of a tensor of class numbers."""
        import tensorflow as tf

        return tf.strings.as_string(classes) if self._table is None else self._table.lookup(classes)

    def _make_table(self, labels: Sequence[str]) -> Any:
        import tensorflow as tf

        if any("\n" in label for label in labels):
            raise ServingError(Code.INVALID_ARGUMENT, "a label has a line break")
        # TensorFlow copies the file into the SavedModel when it is saved, and reads it by then at the latest.
        self._folder = tempfile.TemporaryDirectory()
        path = os.path.join(self._folder.name, _FILE)
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{label}\n" for label in labels)
        initializer = tf.lookup.TextFileInitializer(
            path,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
        )
        table = tf.lookup.StaticHashTable(initializer, default_value="")
        table.labels_folder = self._folder  # The file must live as long as the table.
        return table


def _read(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ServingError.wrap(error) from error
