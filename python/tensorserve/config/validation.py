# SPDX-License-Identifier: Apache-2.0
"""Checks flags against each other. Texts are TensorFlow Serving's where it has one."""

import dataclasses
import logging

from tensorserve.config.flag import Status
from tensorserve.config.flags import FLAGS, ServerOptions
from tensorserve.config.platform_config import with_platform_config
from tensorserve.errors import Code, ServingError

logger = logging.getLogger(__name__)


def check_options(options: ServerOptions) -> ServerOptions:
    """Gives the options a server can work with.

    Raises:
        ServingError: INVALID_ARGUMENT for flags that contradict each other; UNIMPLEMENTED for a security flag that this
            server cannot honour, because serving without it would be unsafe.
    """
    _check_parallelism(options)
    _check_security(options)
    _check_ranges(options)
    _check_models(options)
    if options.batching_parameters_file and not options.enable_batching:
        logger.info("--batching_parameters_file is given without --enable_batching; batching is enabled.")
        options = dataclasses.replace(options, enable_batching=True)
    for flag in FLAGS:
        without_effect = flag.status is Status.ACCEPTED_WITHOUT_EFFECT_YET
        if without_effect and getattr(options, flag.name) != flag.default:
            logger.warning("--%s is accepted, but has no effect yet.", flag.name)
    return with_platform_config(options)


def _check_parallelism(options: ServerOptions) -> None:
    if (
        options.tensorflow_session_parallelism > 0
        and options.tensorflow_intra_op_parallelism > 0
        and options.tensorflow_inter_op_parallelism > 0
    ):
        raise _invalid(
            "Either configure server_options.tensorflow_session_parallelism or "
            "(server_options.tensorflow_intra_op_parallelism, server_options.tensorflow_inter_op_parallelism) "
            "separately. You cannot configure all."
        )


def _check_security(options: ServerOptions) -> None:
    if options.use_alts_credentials and options.ssl_config_file:
        raise _invalid("Either use_alts_credentials must be false or ssl_config_file must be empty.")
    if options.use_alts_credentials:
        reason = "--use_alts_credentials is not supported; refusing to serve without it. See --ssl_config_file."
        raise ServingError(Code.UNIMPLEMENTED, reason)


def _check_ranges(options: ServerOptions) -> None:
    for flag in FLAGS:
        if problem := flag.problem(getattr(options, flag.name)):
            raise _invalid(problem)


def _check_models(options: ServerOptions) -> None:
    if options.admin_api == "token" and not options.admin_token_file:
        raise _invalid("admin_api=token needs admin_token_file.")
    if options.model_repository and (options.model_base_path or options.model_config_file):
        raise _invalid(
            "--model_repository takes the place of --model_base_path and --model_config_file; give only one."
        )


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
