# SPDX-License-Identifier: Apache-2.0
"""A server asks for as many file descriptors as it may have."""

import resource

import pytest

from tensorserve.cli.descriptors import raise_limit


def test_the_limit_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: asked.append((kind, limits)))
    raise_limit()
    assert asked == [(resource.RLIMIT_NOFILE, (4096, 4096))]


def test_a_system_that_refuses_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    raise_limit()
