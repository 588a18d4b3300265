"""The fenced blocks of the README and of the pages of docs/."""

import pathlib
import re
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


class Block(NamedTuple):
    """A fenced block, and the text between it and the one before."""

    line: int
    language: str
    text: str
    before: str


def blocks(page):
    """Return the fenced blocks of a page."""
    found, before, text = [], [], []
    start = None
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        fence = re.fullmatch(r"```(\w*)\s*", line)
        if start is None and fence:
            start, language, text = number, fence[1], []
        elif start is not None and line == "```":
            code = "\n".join(text) + "\n"
            paragraphs = "\n".join(before).strip()
            found.append(Block(start + 1, language, code, paragraphs))
            start, before = None, []
        elif start is not None:
            text.append(line)
        else:
            before.append(line)
    assert start is None, f"{page.name}:{start} has no end"
    return found
