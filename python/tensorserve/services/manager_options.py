# SPDX-License-Identifier: Apache-2.0
"""What the flags say of how a manager works."""

from tensorserve.config.cpus import schedulable_cpus
from tensorserve.config.flags import ServerOptions
from tensorserve.lifecycle import version_policy
from tensorserve.lifecycle.manager import ManagerOptions


def manager_options(options: ServerOptions) -> ManagerOptions:
    """Reads the flags; see `ManagerOptions`."""
    resource_preserving = options.version_transition_policy == "resource_preserving"
    return ManagerOptions(
        policy=version_policy.resource_preserving if resource_preserving else version_policy.availability_preserving,
        load_threads=max(options.num_load_threads, 1),
        initial_load_threads=4 * schedulable_cpus(),
        unload_threads=options.num_unload_threads if options.num_unload_threads > 0 else None,
        max_load_retries=options.max_num_load_retries,
        load_retry_interval_seconds=options.load_retry_interval_micros / 1e6,
    )
