# SPDX-License-Identifier: Apache-2.0
"""Chooses, by a model's policy, which of its versions to serve. Pure functions."""

from collections.abc import Collection

from tensorserve.types import All, Latest, VersionPolicy

# More need not be named to show that new versions are ignored.
_MOST_LEFT_OUT = 10


def select_versions(policy: VersionPolicy, present: Collection[int]) -> frozenset[int]:
    """The versions to serve of those that are present."""
    if isinstance(policy, Latest):
        return frozenset(sorted(present, reverse=True)[: policy.num_versions])
    if isinstance(policy, All):
        return frozenset(present)
    return frozenset(policy.versions) & frozenset(present)


def left_out(policy: VersionPolicy, present: Collection[int]) -> frozenset[int]:
    """The newest of the versions that are present and newer than those that a `specific` policy names."""
    if isinstance(policy, (Latest, All)):
        return frozenset()
    newer = {version for version in present if not policy.versions or version > max(policy.versions)}
    return frozenset(sorted(newer, reverse=True)[:_MOST_LEFT_OUT])


def selection_warnings(model: str, policy: VersionPolicy, present: Collection[int]) -> tuple[str, ...]:
    """What an operator should know about a selection: versions that were asked for by number and are not there."""
    if isinstance(policy, (Latest, All)):
        return ()
    if not policy.versions:
        return (f"No specific versions requested for servable {model}.",)
    return tuple(
        f"Version {version} of servable {model}, which was requested to be served as a 'specific' version in the "
        "servable's version policy, was not found in the file system; it is loaded once it is there"
        for version in sorted(set(policy.versions) - set(present))
    )
