"""Draws the Mermaid diagrams of the pages into docs/images/diagrams/.

    npm install --prefix build/npm mermaid
    python docs/diagrams.py build/npm/node_modules/mermaid/dist/mermaid.min.js

It needs Chromium. The name of a drawing is the digest of its source, so the
pages do not build with an old drawing.
"""

import html
import json
import pathlib
import subprocess
import sys
import tempfile

from hooks import DIAGRAM, drawing

DOCS = pathlib.Path(__file__).parent
PAGE = """<meta charset="utf-8"><body><script src="{mermaid}"></script><script>
mermaid.initialize({{
    startOnLoad: false, theme: "neutral", htmlLabels: false,
    fontFamily: "Arial, Helvetica, sans-serif",
    flowchart: {{ useMaxWidth: false }},
    sequence: {{ useMaxWidth: false, mirrorActors: false }},
}});
(async () => {{
    const drawn = [];
    for (const source of {sources})
        drawn.push((await mermaid.render("diagram", source)).svg);
    document.body.textContent = JSON.stringify(drawn);
}})();
</script>"""


def draw(sources: list[str], mermaid: pathlib.Path) -> list[str]:
    """Return the drawings of diagrams, as SVG."""
    with tempfile.TemporaryDirectory() as folder:
        page = pathlib.Path(folder) / "page.html"
        text = json.dumps(sources).replace("</", "<\\/")
        address = mermaid.resolve().as_uri()
        page.write_text(PAGE.format(mermaid=address, sources=text), "utf-8")
        command = ["chromium", "--headless=new", "--no-sandbox"]
        command += ["--virtual-time-budget=20000", "--dump-dom", page.as_uri()]
        done = subprocess.run(command, check=True, capture_output=True)
    body = done.stdout.decode().partition("<body>")[2].partition("</body>")[0]
    return json.loads(html.unescape(body))


def main(mermaid: str) -> None:
    """Draw the diagrams of all pages, delete the drawings of others."""
    texts = [page.read_text("utf-8") for page in sorted(DOCS.glob("*.md"))]
    sources = [source for text in texts for source in DIAGRAM.findall(text)]
    paths = [drawing(source) for source in sources]
    paths[0].parent.mkdir(exist_ok=True)
    for old in set(paths[0].parent.glob("*.svg")) - set(paths):
        old.unlink()
    drawn = draw(sources, pathlib.Path(mermaid))
    for path, svg in zip(paths, drawn, strict=True):
        path.write_text(f"{svg}\n", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
