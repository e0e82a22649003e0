# SPDX-License-Identifier: Apache-2.0
"""What was changed while the server ran and neither a flag nor a file says: the next process does not know it."""

from collections.abc import Iterator, Mapping

from tensorserve.types import ModelConfig


def unsaved(current: Mapping[str, ModelConfig], written: Mapping[str, ModelConfig]) -> tuple[str, ...]:
    """Names each difference.

    Args:
        current: The models that are configured.
        written: Those that the flags and files say now.
    """
    added = (f"model {name}, which was added" for name in current if name not in written)
    removed = (f"the removal of model {name}" for name in written if name not in current)
    changed = (text for name, model in current.items() if name in written for text in _of_model(model, written[name]))
    return (*added, *removed, *changed)


def _of_model(model: ModelConfig, written: ModelConfig) -> Iterator[str]:
    where = f"of model {model.name}"
    if model.policy != written.policy:
        yield f"policy {model.policy} {where}, written is {written.policy}"
    if model.base_path != written.base_path:
        yield f"base path {model.base_path} {where}, written is {written.base_path}"
    for label, version in model.version_labels.items():
        if label not in written.version_labels:
            yield f"label {label}={version} {where}"
        elif written.version_labels[label] != version:
            yield f"label {label}={version} {where}, written is {written.version_labels[label]}"
    for label in written.version_labels.keys() - model.version_labels.keys():
        yield f"the removal of label {label} {where}"
