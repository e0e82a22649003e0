# SPDX-License-Identifier: Apache-2.0
"""The `tensorflow.ConfigProto` that sessions are made with, as bytes."""

import logging
import struct
from typing import Any

from tensorserve.config.flags import ServerOptions
from tensorserve.config.platform_config import session_bundle_config
from tensorserve.config.text_format import read_text_message

logger = logging.getLogger(__name__)

_MAX_INT32 = 2**31 - 1


_BFLOAT16 = "bfloat16"
_ON = 1  # tensorflow.RewriterConfig.Toggle


def session_config(options: ServerOptions) -> bytes:
    """Serializes the session options.

    With `--platform_config_file` they are its `session_config`. Otherwise the thread counts and the GPU memory fraction
    come from the flags, even where those are 0, and everything else from `--tensorflow_session_config_file`. Mixed
    precision is added to either.

    Raises:
        ServingError: A file cannot be read, or is no such message.
    """
    bundle = session_bundle_config(options)
    if bundle is not None:
        return _serialized(_with_precision(bundle.session_config, bundle.mixed_precision))
    intra, inter = _parallelism(options)
    fraction = options.per_process_gpu_memory_fraction
    if not (options.tensorflow_session_config_file or options.mixed_precision):
        return _encode(intra, inter, fraction)
    message = _message(options.tensorflow_session_config_file)
    message.intra_op_parallelism_threads = intra
    message.inter_op_parallelism_threads = inter
    message.gpu_options.per_process_gpu_memory_fraction = fraction
    return _serialized(_with_precision(message, options.mixed_precision))


def _message(path: str) -> Any:
    if path:
        return read_text_message(path, "tensorflow.ConfigProto")
    from tensorserve import protos

    return protos.message("tensorflow.ConfigProto")()


def _with_precision(message: Any, precision: str) -> Any:
    if precision == _BFLOAT16:
        logger.info("Running inference with bfloat16 auto mixed precision")
        message.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = _ON
    elif precision:
        logger.warning("%s auto mixed precision is not supported. Valid option: bfloat16", precision)
    return message


def _serialized(message: Any) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))


def _parallelism(options: ServerOptions) -> tuple[int, int]:
    """Threads inside one operation and across operations; 0 lets TensorFlow decide."""
    intra, inter = options.tensorflow_intra_op_parallelism, options.tensorflow_inter_op_parallelism
    if intra <= 0 and inter <= 0:
        intra = inter = options.tensorflow_session_parallelism
    return min(max(intra, 0), _MAX_INT32), min(max(inter, 0), _MAX_INT32)


# Three fields do not deserve the tens of milliseconds that importing protobuf takes. The field numbers are
# ConfigProto's: intra_op_parallelism_threads = 2, inter_op_parallelism_threads = 5, gpu_options = 6; in GPUOptions
# per_process_gpu_memory_fraction = 1.
def _encode(intra: int, inter: int, fraction: float) -> bytes:
    fields = b""
    if intra:
        fields += b"\x10" + _varint(intra)
    if inter:
        fields += b"\x28" + _varint(inter)
    if fraction:
        fields += b"\x32\x09\x09" + struct.pack("<d", fraction)
    return fields


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
