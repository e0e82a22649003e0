# SPDX-License-Identifier: Apache-2.0
"""Reads files that hold one message in protobuf's text format."""

import logging
from typing import Any

from tensorserve.errors import Code, ServingError
from tensorserve.files import read_file

logger = logging.getLogger(__name__)


class TextFormatError(ServingError):
    """A file is no such message.

    Attributes:
        reason: Line, column and what is wrong there, which TensorFlow Serving only logs.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(Code.INVALID_ARGUMENT, f"Invalid protobuf file: '{path}'")
        self.reason = reason


def read_text_message(path: str, message_name: str) -> Any:
    """Reads a file into a message of our private descriptor pool.

    Args:
        path: The file.
        message_name: Full name, such as `tensorflow.serving.ModelServerConfig`.

    Raises:
        ServingError: NOT_FOUND or another code of the file system if the file cannot be read, INVALID_ARGUMENT if it is
            empty or is not such a message; line and column are logged.
    """
    return parse_text_message(path, read_text(path), message_name)


def parse_text_message(path: str, text: bytes, message_name: str) -> Any:
    """The same for what was read from the file."""
    # Both take tens of milliseconds to import, and a server without such files needs neither.
    from google.protobuf import text_format

    from tensorserve import protos

    message = protos.message(message_name)()
    try:
        return text_format.Parse(text, message, descriptor_pool=message.DESCRIPTOR.file.pool)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        reason = _position_and_reason(error)
        logger.error("Error parsing text-format %s: %s", message_name, reason)
        raise TextFormatError(path, reason) from error


def read_text(path: str) -> bytes:
    """What is in such a file. Raises ServingError, as `read_text_message`."""
    try:
        content = read_file(path)
    except OSError as error:
        raise ServingError.wrap(error) from error
    # The original maps the file into memory, which an empty one refuses; a file of blanks is an empty message.
    if not content:
        raise ServingError(Code.INVALID_ARGUMENT, f"{path}; Invalid argument")
    return content


def _position_and_reason(error: Exception) -> str:
    """`line:column: reason`, as protobuf's C++ parser writes it."""
    position, separator, reason = str(error).partition(" : ")
    return f"{position}: {reason}" if separator else str(error)
