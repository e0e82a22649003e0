# SPDX-License-Identifier: Apache-2.0
"""What the flags say of how a manager works."""

from collections.abc import Callable

from tensorserve.config.cpus import schedulable_cpus
from tensorserve.config.flags import ServerOptions
from tensorserve.config.model_settings import ModelSettings
from tensorserve.lifecycle import version_policy
from tensorserve.lifecycle.manager import ManagerOptions
from tensorserve.lifecycle.retries import RetryLimits


def manager_options(options: ServerOptions, settings: Callable[[str], ModelSettings]) -> ManagerOptions:
    """Reads the flags; see `ManagerOptions`. `settings` gives what models want instead."""

    def retries_of(model: str) -> RetryLimits:
        wanted = settings(model).loading
        most, pause = wanted.max_retries, wanted.retry_interval_seconds
        return RetryLimits(
            options.max_num_load_retries if most is None else most,
            options.load_retry_interval_micros / 1e6 if pause is None else pause,
        )

    resource_preserving = options.version_transition_policy == "resource_preserving"
    return ManagerOptions(
        policy=version_policy.resource_preserving if resource_preserving else version_policy.availability_preserving,
        load_threads=max(options.num_load_threads, 1),
        initial_load_threads=4 * schedulable_cpus(),
        unload_threads=options.num_unload_threads if options.num_unload_threads > 0 else None,
        max_load_retries=options.max_num_load_retries,
        load_retry_interval_seconds=options.load_retry_interval_micros / 1e6,
        retries_of=retries_of,
    )
