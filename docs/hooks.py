"""Hooks of MkDocs for the pages of this folder."""

import hashlib
import pathlib
import re
from typing import Any

_ROOT = pathlib.Path(__file__).parents[1]
_SHIM = re.compile(r"<script src=\"?https://unpkg\.com/[^>]*></script>")
# Pages with wide tables have no table of contents beside them.
_WIDE = ("benchmarks.md", "components.md")
DIAGRAM = re.compile(r"^```mermaid\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\./[^)#]+)(?:#[^)]*)?\)")


def drawing(source: str) -> pathlib.Path:
    """Return the path of the drawing of a Mermaid diagram."""
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    return _ROOT / "docs" / "images" / "diagrams" / f"{digest}.svg"


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Show drawings of diagrams, unlink files outside `docs`, widen tables.

    The built pages have no file outside `docs`; in the repository the link
    leads to the file.

    Args:
        markdown: Text of the page.
        page: The page.
        **kwargs: Other arguments of MkDocs.

    Raises:
        FileNotFoundError: If a linked file or a drawing is missing.
    """
    source = pathlib.Path(page.file.abs_src_path)
    if source.name in _WIDE:
        page.meta["hide"] = ["toc"]

    def name(match: re.Match) -> str:
        target = (source.parent / match[2]).resolve()
        if not target.is_relative_to(_ROOT) or not target.exists():
            raise FileNotFoundError(f"{source}: {match[0]}")
        if target.is_relative_to(_ROOT / "docs"):
            return match[0]
        words, path = match[1].strip("`"), target.relative_to(_ROOT)
        same = words.strip("/").removeprefix("../") == str(path)
        return f"`{path}`" if same else f"{words} (`{path}`)"

    def picture(match: re.Match) -> str:
        path = drawing(match[1])
        if not path.exists():
            raise FileNotFoundError(f"{path}: run docs/diagrams.py")
        title = re.search("accTitle: (.+)", match[1])
        where = path.relative_to(source.parent)
        return f"![{title[1] if title else 'Diagram'}]({where})"

    return _LINK.sub(name, DIAGRAM.sub(picture, markdown))


def on_post_page(output: str, **kwargs: Any) -> str:
    """Remove a script that the browser would fetch from the network.

    Material's `offline` plugin adds the script to search pages that are opened
    from the disk. Without the script only this search does not work.

    Args:
        output: The page as HTML.
        **kwargs: Other arguments of MkDocs.
    """
    return _SHIM.sub("", output)


def on_post_template(output_content: str, **kwargs: Any) -> str:
    """Remove the script from the page for missing pages, too.

    Args:
        output_content: The page as HTML.
        **kwargs: Other arguments of MkDocs.
    """
    return _SHIM.sub("", output_content)
