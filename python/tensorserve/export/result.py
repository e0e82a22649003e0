# SPDX-License-Identifier: Apache-2.0
"""What an export gives: where the version lies, what was checked, how to ask it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tensorserve.export.quantization import Quantization
from tensorserve.inspect.description import Model
from tensorserve.inspect.samples import OPEN_LENGTH, samples
from tensorserve.inspect.text import signature_lines, size_text

_MOST_PRUNED = 5


@dataclass(frozen=True, slots=True)
class ExportedVersion:
    """A published version; `str()` gives a summary for people.

    Attributes:
        path: Its folder.
        version: Its number.
        model: What is in it.
        checked: Signatures whose answers were compared with the model's.
        difference: The largest difference found, as a part of the largest value of that output.
        unchecked: Why a signature was not compared, by its name.
        left_out: Signatures of the SavedModel that this version has not.
        warmup_requests: How many requests a server runs before it serves the version.
        quantization: What storing weights in fewer bits did; None if they are as they were.
        pruned: The part of zeros in each weight that training has pruned, by its name.
        open_length: How large open dimensions but the first were in the inputs that the model was tried with.
    """

    path: str
    version: int
    model: Model
    checked: tuple[str, ...] = ()
    difference: float = 0.0
    unchecked: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    warmup_requests: int = 0
    quantization: Quantization | None = None
    pruned: Mapping[str, float] = field(default_factory=dict)
    open_length: int = OPEN_LENGTH

    @property
    def curl(self) -> str:
        """A command that asks the default signature at a server on its usual ports."""
        return samples(self.model, self.model.signatures[0], open_length=self.open_length).curl

    def as_dict(self) -> dict[str, Any]:
        """The same as values that JSON has."""
        return {**dataclasses.asdict(self), "model": self.model.as_dict(), "curl": self.curl}

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.model.name}, version {self.version}: {self.path} ({size_text(self.model.size)})"
        for signature in self.model.signatures:
            yield from signature_lines(signature)
        if self.checked:
            names = ", ".join(self.checked)
            yield f"checked: the answers of {names} equal the model's (largest difference {self.difference:.1e})"
        for name, reason in self.unchecked.items():
            yield f"NOT checked: {name}: {reason}"
        if self.left_out:
            names = ", ".join(self.left_out)
            yield f"left out: {names}, which the SavedModel has as well; signatures={{...}} adds them"
        if self.warmup_requests:
            yield f"warm-up: {self.warmup_requests} request(s) are run before the version is served"
        yield from self._about_weights()
        yield ""
        yield "Serve it and ask it:"
        base = self.path.rpartition("/")[0]
        yield f"  tensorserve serve --rest_api_port=8501 --model_name={self.model.name} --model_base_path={base}"
        yield f"  {self.curl}"

    def _about_weights(self) -> Iterator[str]:
        done = self.quantization
        if done is not None:
            yield f"quantized: {done.weights} weights to {done.kind}"
            yield f"  size      {size_text(done.bytes_before)} -> {size_text(done.bytes_after)} of weights"
            if done.widened_in_runs:
                yield f"  NOTE      {done.widened_in_runs} are above 10 MB, so that each run widens them"
            if done.seconds_after:
                yield f"  time      {done.seconds_before * 1e3:.2f} ms -> {done.seconds_after * 1e3:.2f} ms a run here"
                yield (
                    f"  accuracy  answers differ by {done.difference:.1e} of the largest; "
                    f"{done.same_best:.1%} of the rows have the same best class"
                )
        ordered = sorted(self.pruned.items(), key=lambda item: -item[1])
        for name, zeros in ordered[:_MOST_PRUNED]:
            yield f"pruned: {zeros:.0%} of {name} is zero; TensorFlow computes with zeros as with other numbers"
        if len(ordered) > _MOST_PRUNED:
            yield f"pruned: {len(ordered) - _MOST_PRUNED} more weights"
