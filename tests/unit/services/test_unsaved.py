# SPDX-License-Identifier: Apache-2.0
from tensorserve.services.unsaved import unsaved
from tensorserve.types import All, Latest, ModelConfig, Specific


def test_each_difference_is_named() -> None:
    written = [
        ModelConfig("kept", "/kept", policy=Latest(2), version_labels={"stable": 1}),
        ModelConfig("gone", "/gone"),
        ModelConfig("m", "/m", version_labels={"stable": 1, "old": 1}),
    ]
    current = [
        written[0],
        ModelConfig("m", "/n", policy=Specific((1, 2)), version_labels={"stable": 2, "canary": 2}),
        ModelConfig("new", "/new", policy=All()),
    ]
    assert unsaved({model.name: model for model in current}, {model.name: model for model in written}) == (
        "model new, which was added",
        "the removal of model gone",
        "policy specific:1,2 of model m, written is latest:1",
        "base path /n of model m, written is /m",
        "label stable=2 of model m, written is 1",
        "label canary=2 of model m",
        "the removal of label old of model m",
    )
