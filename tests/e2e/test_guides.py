# SPDX-License-Identifier: Apache-2.0
"""The guide for a first model works when it is pasted; the others are run by `make accept AREA=sdk`."""

import re
from pathlib import Path

from tests.guides import GUIDES, blocks, matches, run_guide
from tests.meta.repository import ROOT


def test_first_model(tmp_path: Path) -> None:
    run_guide(GUIDES / "first-model.md", tmp_path)


def test_links_lead_somewhere() -> None:
    for page in GUIDES.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_every_guide_trains_serves_and_asks() -> None:
    pages = sorted(GUIDES.glob("*.md"))
    assert len(pages) == 7
    for page in pages:
        text = "".join(block.text for block in blocks(page))
        assert "tensorserve serve" in text, page.name
        assert "curl" in text, page.name


def test_what_a_page_says_is_looked_for() -> None:
    assert matches("a\nbcd\ne\n", "b...e")
    assert not matches("a\nb\n", "c")
    assert not matches("e b", "b...e")
