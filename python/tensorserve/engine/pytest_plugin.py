# SPDX-License-Identifier: Apache-2.0
"""A fixture for tests of models; pytest finds it wherever tensorserve is installed.

def test_my_model(load_model):
    model = load_model("models/half_plus_two")
    assert model(x=[1.0])["y"] == 2.5
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tensorserve.engine.model import Model


@pytest.fixture(scope="session")
def load_model() -> Iterator[Callable[..., Model]]:
    """Loads models by the arguments of `tensorserve.load`, each once; they are freed when the session ends."""
    loaded: dict[Any, Model] = {}

    def load_once(path: Any, **options: Any) -> Model:
        from tensorserve.engine.loading import load

        key = (str(path), *sorted((name, repr(value)) for name, value in options.items()))
        if key not in loaded:
            loaded[key] = load(path, **options)
        return loaded[key]

    yield load_once
    for model in loaded.values():
        model.close()
