# SPDX-License-Identifier: Apache-2.0
"""Words that the glossary of ARCHITECTURE.md rules out do not appear in docs, comments and code."""

import re
from pathlib import Path

import pytest

from tests.meta.repository import ROOT, files

GLOSSARY = ROOT / "ARCHITECTURE.md"
# The glossary itself, and what tells of the past.
EXEMPT = {"ARCHITECTURE.md", "CHANGELOG.md", "tests/meta/test_words.py"}
# Files that still have such words. Nothing is added here.
NOT_YET: tuple[str, ...] = ()


def ruled_out() -> list[str]:
    """The last column of the glossary, and the phrases that the sentence below it names."""
    section = GLOSSARY.read_text().partition("\n## Glossary\n")[2].partition("\n## ")[0]
    column = [line.split("|")[-2] for line in section.splitlines() if line.startswith("| ")][2:]
    below = re.findall(r"rules out the last column, and also: (.+)\.$", section, re.MULTILINE)
    return [word.strip() for words in (*column, *below) for word in words.split(",") if word.strip()]


def uses(word: str, text: str) -> list[str]:
    """The lines that use a word, in names too (`InHand`). A capital means a name only: `Company`, but not `company`."""
    camel = "".join(part.capitalize() for part in word.split())
    forms = [rf"\b{word}\b"] if word[0].isupper() else [rf"(?i:(?<![a-z]){word.replace(' ', '[ _]')}(?![a-z]))", camel]
    pattern = re.compile("|".join(forms))
    return [line.strip() for line in text.splitlines() if pattern.search(line)]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


CHECKED = [path for path in files(".md", ".py", ".pyi", ".rs", ".proto", ".sh") if name(path) not in EXEMPT]


def test_the_glossary_rules_words_out() -> None:
    assert {"in hand", "crowd", "gathering", "Company", "Wish", "so many", "what came", "of which"} <= set(ruled_out())


@pytest.mark.parametrize("word", ruled_out())
def test_the_word_is_not_used(word: str) -> None:
    found = [
        f"{name(path)}: {line}"
        for path in CHECKED
        if not name(path).startswith(NOT_YET)
        for line in uses(word, path.read_text())
    ]
    assert found == [], f"see the glossary in ARCHITECTURE.md: {word!r} has another word"


def test_a_use_is_found() -> None:
    text = "a Company of others\nwait for so many rows\nSo many\nrows_in_hand\nCallInHand(x)\nmerchandise, company\n"
    assert [uses(word, text) for word in ("Company", "so many", "in hand")] == [
        ["a Company of others"],
        ["wait for so many rows", "So many"],
        ["rows_in_hand", "CallInHand(x)"],
    ]
