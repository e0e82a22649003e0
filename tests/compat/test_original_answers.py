# SPDX-License-Identifier: Apache-2.0
"""3,700 generated requests get the answers of the genuine TensorFlow Serving, but for differences with a name."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.compat.original_answers import MODELS, Answer, Asker, Exchange, exchanges, same
from tests.conftest import ServeModels

SHOWN = 10


@dataclass(frozen=True)
class Difference:
    """A known difference.

    Attributes:
        documented: Words of `docs/compatibility.md` that say so, or None: it is to be mended.
        count: How many of the recorded requests show it.
        shows: Whether this exchange is one of them.
    """

    documented: str | None
    count: int
    shows: Callable[[Exchange, Answer, Answer], bool]


def error(answer: Answer) -> str:
    return answer.error or ""


def rounded(text: str) -> str:
    """The text with its long numbers cut to 15 digits."""
    return re.sub(r"\d\.\d{14,}", lambda number: number[0][:16], text)


DIFFERENCES = {
    "types that JSON does not reach in the original": Difference(
        "`half`, `bfloat16` and `uint16` are numbers in JSON",
        8,
        lambda _asked, original, _ours: bool(re.search(r"to type: (half|bfloat16|uint16)$", error(original))),
    ),
    "integers too large for a small type": Difference(
        "An integer that does not fit a small type (300 for uint8) is refused",
        4,
        lambda _asked, _original, ours: bool(re.search(r"-?\d+ Type: Number is .* type: u?int8 ", error(ours))),
    ),
    "an input twice in a row": Difference(
        "a duplicate\n  key in a row object is refused",
        3,
        lambda _asked, _original, ours: "has more than one value for named input" in error(ours),
    ),
    "the last digit of a number": Difference(
        "JSON numbers are read correctly rounded",
        5,
        lambda _asked, original, ours: (
            bool(original.error) and rounded(error(ours)).startswith(rounded(error(original)))
        ),
    ),
    "the first of several wrong inputs in JSON": Difference(
        "Of several inputs in JSON that are wrong or missing",
        3,
        lambda asked, _original, ours: (
            ours.code == 400 and bool(re.search(r'"inputs": *{', asked.record["body"])) and takes_two(ours)
        ),
    ),
    "the first of several outputs of different batch sizes": Difference(
        "of several outputs whose first dimensions differ",
        3,
        lambda _asked, original, ours: all("has inconsistent batch size" in error(each) for each in (original, ours)),
    ),
}


def takes_two(ours: Answer) -> bool:
    """Whether the signature of an error has two inputs, by what stands behind the original's text."""
    return re.search(r"\(signature \S+ takes: \S+ \([^)]*\), \S+ \([^)]*\)", error(ours)) is not None


def difference(exchange: Exchange, original: Answer, ours: Answer) -> str | None:
    """The name of a known difference that this exchange shows."""
    return next((name for name, known in DIFFERENCES.items() if known.shows(exchange, original, ours)), None)


@pytest.fixture(scope="module")
def asker(serve_models: ServeModels, models: Path) -> Iterator[Asker]:
    """Asks a server with the latest version of each model, as the original was."""
    server = serve_models({name: models / name for name in MODELS})
    asker = Asker(server.grpc_target, server.rest_port)
    yield asker
    asker.close()


@dataclass(frozen=True)
class Compared:
    """Known differences by their number, others as text, and the number of requests, each by the kind of request."""

    known: Counter[str]
    unknown: dict[str, list[str]]
    requests: Counter[str]


@pytest.fixture(scope="module")
def compared(asker: Asker) -> Compared:
    found = Compared(Counter(), defaultdict(list), Counter())
    for exchange in exchanges():
        found.requests[exchange.kind] += 1
        original, ours = exchange.answer, asker.ask(exchange)
        if same(original, ours):
            continue
        if name := difference(exchange, original, ours):
            found.known[name] += 1
        else:
            found.unknown[exchange.kind].append(f"{exchange}\n  original: {original}\n  ours:     {ours}")
    return found


KINDS = {
    "grpc Predict": 885,
    "grpc Classify": 146,
    "grpc Regress": 164,
    "grpc MultiInference": 164,
    "grpc GetModelMetadata": 69,
    "grpc GetModelStatus": 72,
    "rest": 1500,
    "example": 400,
    "url": 300,
}


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_the_originals(compared: Compared, kind: str) -> None:
    assert compared.requests[kind] == KINDS[kind]
    wrong = compared.unknown[kind]
    assert not wrong, f"{len(wrong)} of {KINDS[kind]} answers differ:\n" + "\n".join(wrong[:SHOWN])


@pytest.mark.parametrize("name", DIFFERENCES)
def test_known_differences_are_as_many_as_before(compared: Compared, name: str) -> None:
    assert compared.known[name] == DIFFERENCES[name].count


@pytest.mark.parametrize("name", DIFFERENCES)
def test_known_differences_are_documented(name: str) -> None:
    page = Path(__file__).parents[2] / "docs" / "compatibility.md"
    words = DIFFERENCES[name].documented
    assert words is None or words in page.read_text()


def test_a_changed_answer_is_noticed() -> None:
    """The comparison itself: each part of an answer counts."""
    noticed: Counter[str] = Counter()
    for exchange in list(exchanges())[::25]:
        answer = exchange.answer
        assert same(answer, answer)
        assert not same(answer, replace(answer, code=answer.code + 1))
        if answer.error is None:
            changed = replace(answer, value=f"{answer.value} ")
        else:
            changed = replace(answer, error="x" + answer.error[1:])
            assert same(answer, replace(answer, error=answer.error + " (signature x)"))
        noticed[exchange.kind] += not same(answer, changed)
    # HEAD has no body, so its answers have no text to change.
    assert noticed.total() >= 140
    assert set(noticed) == set(KINDS)
