# SPDX-License-Identifier: Apache-2.0
"""What changed between the signatures of two versions, and whether clients of the first can ask the second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tensorserve.inspect.description import Model, Shape, Signature, Tensor


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        signature: The signature that differs.
        text: What is different.
        breaks: Whether a request to the first model may fail, or be answered otherwise, at the second.
    """

    signature: str
    text: str
    breaks: bool


def differences(before: Model, after: Model) -> tuple[Change, ...]:
    """What is different in the signatures of two models."""
    old = {signature.name: signature for signature in before.signatures}
    new = {signature.name: signature for signature in after.signatures}
    changes: list[Change] = []
    for name in sorted(old.keys() | new.keys(), key=lambda name: (name != "serving_default", name)):
        if name not in new:
            changes.append(Change(name, "signature removed", True))
        elif name not in old:
            changes.append(Change(name, "signature added", False))
        else:
            changes += (Change(name, text, breaks) for text, breaks in _between(old[name], new[name]))
    return tuple(changes)


def _between(old: Signature, new: Signature) -> Iterator[tuple[str, bool]]:
    if old.method != new.method:
        yield f"method {old.method} is now {new.method}", True
    yield from _tensors("input", old.inputs, new.inputs)
    yield from _tensors("output", old.outputs, new.outputs)
    if old.batching is not None and new.batching is not None and old.batching.possible != new.batching.possible:
        now = "can be batched" if new.batching.possible else "cannot be batched"
        yield f"now {now}: {new.batching.reason}", False
    added = {risk.op for risk in new.risks} - {risk.op for risk in old.risks}
    if added:
        yield f"now runs {', '.join(sorted(added))}", False


def _tensors(kind: str, old: Sequence[Tensor], new: Sequence[Tensor]) -> Iterator[tuple[str, bool]]:
    before, after = {each.alias: each for each in old}, {each.alias: each for each in new}
    for alias in sorted(before.keys() | after.keys()):
        was, now = before.get(alias), after.get(alias)
        if now is None:
            yield f"{kind} {alias} removed", True
        elif was is None:
            # A new input breaks requests that cannot know of it, unless it has a default.
            yield f"{kind} {alias} added ({now.dtype} {shape_text(now.shape)})", kind == "input" and now.default is None
        else:
            yield from _tensor(kind, was, now)


def _tensor(kind: str, was: Tensor, now: Tensor) -> Iterator[tuple[str, bool]]:
    if was.dtype != now.dtype:
        yield f"{kind} {was.alias}: {was.dtype} is now {now.dtype}", True
    if was.shape != now.shape:
        text = f"{kind} {was.alias}: shape {shape_text(was.shape)} is now {shape_text(now.shape)}"
        yield text, not (_fits(was.shape, now.shape) if kind == "input" else _fits(now.shape, was.shape))
    if was.default != now.default:
        yield f"{kind} {was.alias}: default {was.default} is now {now.default}", True
    if was.encoding != now.encoding:
        yield f"{kind} {was.alias}: {was.encoding} is now {now.encoding}", True


def _fits(inner: Shape | None, outer: Shape | None) -> bool:
    """Whether every tensor of one shape has the other as well."""
    if outer is None:
        return True
    if inner is None or len(inner) != len(outer):
        return False
    return all(wide is None or wide == narrow for narrow, wide in zip(inner, outer, strict=True))


def shape_text(shape: Shape | None) -> str:
    """Such as `[?, 3]`; `unknown` if not even the number of dimensions is known."""
    if shape is None:
        return "unknown"
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
