# SPDX-License-Identifier: Apache-2.0
"""A description as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tensorserve.inspect.description import Feature, Model, Signature, Tensor
from tensorserve.inspect.difference import Change, shape_text
from tensorserve.inspect.samples import samples

_MOST_SIGNATURES_WITH_SAMPLES = 4


def report(model: Model) -> str:
    """The page that `tensorserve inspect` prints."""
    return "\n".join(_lines(model)) + "\n"


def ops_report(model: Model) -> str:
    """The op types that are served and how many nodes of each there are."""
    custom = {each.op: each.package or "an unknown package" for each in model.custom_ops}
    risks = {risk.op: risk.reason for signature in model.signatures for risk in signature.risks}
    lines = []
    for op, count in sorted(model.ops.items(), key=lambda item: (-item[1], item[0])):
        note = f"  {risks[op]}" if op in risks else ""
        note = f"  custom, of {custom[op]}{note}" if op in custom else note
        lines.append(f"{count:>8}  {op}{note}")
    unused = [f"{'-':>8}  {op}  custom, of {package}; not run by requests" for op, package in custom.items()]
    lines += [line for line, op in zip(unused, custom, strict=True) if op not in model.ops]
    return "\n".join(lines) + "\n"


def changes_report(before: Model, after: Model, changes: Sequence[Change]) -> str:
    """What changed; lines with `!` break clients."""
    if not changes:
        return f"The signatures of {before.place} and {after.place} are the same.\n"
    lines = [f"{'!' if change.breaks else ' '} {change.signature}: {change.text}" for change in changes]
    breaking = sum(change.breaks for change in changes)
    last = f"{breaking} of {len(changes)} changes break clients (!)." if breaking else "No change breaks a client."
    return "\n".join([f"From {before.place}", f"to   {after.place}", *lines, last]) + "\n"


def size_text(size: int) -> str:
    """A number of bytes."""
    value, unit = float(size), "bytes"
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{size} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


def _lines(model: Model) -> Iterator[str]:
    yield from _head(model)
    for problem in model.problems:
        yield f"PROBLEM: {problem}"
    for op in model.custom_ops:
        package = f"pip install {op.package}" if op.package else "name its library with --load_op_library"
        state = f"installed, in {op.package}" if op.installed else f"missing here; {package}"
        yield f"custom op {op.op}: {state}"
    for signature in model.signatures:
        yield ""
        yield from signature_lines(signature)
    for signature in model.signatures[:_MOST_SIGNATURES_WITH_SAMPLES]:
        shown = samples(model, signature)
        yield ""
        yield f"Ask {signature.name}:"
        for text in (shown.curl, shown.python, shown.grpcurl):
            yield ""
            yield from (f"  {line}" if line else "" for line in text.splitlines())


def _head(model: Model) -> Iterator[str]:
    version = f", version {model.version}" if model.version is not None else ""
    yield f"{model.name}{version}  ({model.place})"
    if len(model.versions) > 1:
        yield f"versions: {', '.join(map(str, model.versions))}"
    if model.tags:
        yield f"tags: {'; '.join(','.join(tags) for tags in model.tags)}"
    if model.tensorflow_version:
        fingerprint = f", fingerprint {model.fingerprint}" if model.fingerprint else ""
        yield f"written by TensorFlow {model.tensorflow_version}{fingerprint}"
    if model.files:
        yield f"{size_text(model.size)} in {len(model.files)} files, the graph {size_text(_graph_size(model))}"
    if model.variables is not None:
        elements = ", ".join(f"{count:,} {dtype}" for dtype, count in model.variables.elements.items())
        yield f"{model.variables.count} variables: {elements} ({size_text(model.variables.size)})"
    for asset in model.assets:
        yield f"asset {asset} ({size_text(model.files.get(asset, 0))})"
    if model.ops:
        yield f"{sum(model.ops.values())} nodes of {len(model.ops)} op types are served (--ops lists them)"


def _graph_size(model: Model) -> int:
    return sum(size for name, size in model.files.items() if name.startswith("saved_model."))


def signature_lines(signature: Signature) -> Iterator[str]:
    """The lines of one signature."""
    yield f"signature {signature.name} ({signature.method or 'no method'})"
    for kind, tensors in (("in ", signature.inputs), ("out", signature.outputs)):
        width = max((len(tensor.alias) for tensor in tensors), default=0)
        yield from (f"  {kind} {_tensor_text(tensor, width)}" for tensor in tensors)
    for feature in signature.features:
        yield f"      feature {_feature_text(feature)}"
    if signature.batching is not None:
        verb = "can be batched" if signature.batching.possible else "cannot be batched"
        yield f"  {verb}: {signature.batching.reason}"
    for risk in signature.risks:
        yield f"  RISK {risk.op}: {risk.reason}"


def _tensor_text(tensor: Tensor, width: int) -> str:
    default = f" = {tensor.default}" if tensor.default is not None else ""
    encoding = "" if tensor.encoding == "dense" else f", {tensor.encoding}: cannot cross the wire"
    return f"{tensor.alias:<{width}}  {tensor.dtype} {shape_text(tensor.shape)}{default}{encoding}"


def _feature_text(feature: Feature) -> str:
    required = "required" if feature.required else "optional"
    length = "any number" if feature.shape is None else shape_text(feature.shape)
    return f"{feature.name}  {feature.dtype} {length}, {required}"
