# SPDX-License-Identifier: Apache-2.0
import pytest

from tensorserve.sources.version_selection import left_out, select_versions, selection_warnings
from tensorserve.types import All, Latest, Specific, VersionPolicy


@pytest.mark.parametrize(
    ("policy", "present", "chosen"),
    [
        (Latest(), {1, 2, 10}, {10}),
        (Latest(2), {1, 2, 10}, {2, 10}),
        (Latest(5), {1, 2}, {1, 2}),
        (Latest(), {-2, -1}, {-1}),
        (Latest(), set(), set()),
        (All(), {1, 2, 10}, {1, 2, 10}),
        (Specific((2, 3)), {1, 2, 10}, {2}),
        (Specific(()), {1, 2}, set()),
    ],
)
def test_selection(policy: VersionPolicy, present: set[int], chosen: set[int]) -> None:
    assert select_versions(policy, present) == chosen


def test_newer_versions_are_left_out_by_a_specific_policy() -> None:
    assert left_out(Specific((2, 4)), {1, 2, 3, 4, 5, 6}) == {5, 6}
    assert left_out(Specific(()), {1}) == {1}
    assert left_out(Specific((1,)), range(100)) == set(range(90, 100))
    assert left_out(Latest(), {1, 2}) == left_out(All(), {1, 2}) == set()


def test_missing_specific_versions_are_named() -> None:
    assert selection_warnings("m", Specific((3, 1, 2)), {1}) == tuple(
        f"Version {version} of servable m, which was requested to be served as a 'specific' version in the servable's "
        "version policy, was not found in the file system; it is loaded once it is there"
        for version in (2, 3)
    )


def test_asking_for_no_version() -> None:
    assert selection_warnings("m", Specific(()), {1}) == ("No specific versions requested for servable m.",)


def test_nothing_to_say() -> None:
    assert selection_warnings("m", Latest(3), {1}) == ()
    assert selection_warnings("m", Specific((1,)), {1}) == ()
