"""The documentation site: it builds without a warning, and is complete."""

import ast
import html
import importlib
import inspect
import re
import subprocess
import sys

import pytest
import yaml

from keras_ext.doctor import PROBLEMS, report
from tests.doc_pages import ROOT

pytestmark = pytest.mark.backend("torch")

DOCS = ROOT / "docs"
COMPONENTS = [
    *("activations", "initializers", "layers"),
    *("losses", "metrics", "optimizers", "regularizers"),
]
MODULES = [
    *COMPONENTS,
    *("_convert", "callbacks", "doctor", "plots", "tracking", "tuners"),
]
# What a page would fetch when it is read.
FETCHED = re.compile(
    r"<(?:script|img|iframe)[^>]+src=[\"']?(?:https?:)?//[^\"'> ]+"
    r"|<link[^>]+rel=[\"']?(?:stylesheet|preconnect|icon)[^>]+"
    r"href=[\"']?(?:https?:)?//[^\"'> ]+"
    r"|url\([\"']?(?:https?:)?//[^)]+|@import[^;]+"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built with warnings as errors."""
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    # Not `--quiet`: what it does not say it does not count.
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"]
        + ["--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_nothing_is_fetched_when_it_is_read(site):
    pages = sorted(site.rglob("*.html")) + sorted(site.rglob("*.css"))
    assert len(pages) > 25
    for page in pages:
        found = FETCHED.findall(page.read_text("utf-8"))
        assert not found, (page.name, found)


def test_no_page_shows_its_markup(site):
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        body = text.partition("<article")[2].partition("</article>")[0]
        body = re.sub(r"<(pre|code).*?</\1>", "", body, flags=re.DOTALL)
        for trace in ("```", "&gt;&gt;&gt;", "{ .", ":::", "--8&lt;--"):
            assert trace not in body, (page.name, trace)


def test_search_knows_what_is_there(site):
    index = (site / "search" / "search_index.json").read_text("utf-8")
    for word in ("vanishing gradient", "MedianPruner", "GlorotUniform"):
        assert word in index


def cached(value):
    return hasattr(value, "cache_info")


@pytest.mark.parametrize("module_name", MODULES)
def test_reference_is_complete(module_name):
    module = importlib.import_module(f"keras_ext.{module_name}")
    if module_name == "doctor":
        assert module.check  # It loads when it is first used.
    public = {
        f"{value.__module__}.{value.__qualname__}"
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (
            inspect.isclass(value) or inspect.isroutine(value) or cached(value)
        )
        and value.__module__.startswith("keras_ext.")
    }
    page = (DOCS / "api" / f"{module_name.lstrip('_')}.md").read_text("utf-8")
    assert set(re.findall(r"^::: (\S+)$", page, re.M)) == public


def test_components_read_on_the_site_as_in_help(monkeypatch):
    griffe = pytest.importorskip("griffe")
    monkeypatch.syspath_prepend(DOCS)
    import docstrings

    extensions = griffe.load_extensions(docstrings.SiteDocstrings)
    package = griffe.load(
        "keras_ext", search_paths=[ROOT], extensions=extensions
    )
    for path in re.findall(
        r"^::: keras_ext\.(\S+)$",
        "".join((DOCS / "api" / f"{m}.md").read_text() for m in COMPONENTS),
        re.M,
    ):
        module, _, name = f"keras_ext.{path}".rpartition(".")
        component = getattr(importlib.import_module(module), name)
        expected = docstrings.boxed(inspect.getdoc(component))
        assert package[path].docstring.value == expected


def test_every_page_is_reached_by_the_menu():
    class Loader(yaml.SafeLoader):
        """Reads MkDocs's configuration."""

    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    menu = set(re.findall(r"[\w/-]+\.md", str(yaml.load(text, Loader)["nav"])))
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert menu == pages


@pytest.mark.parametrize("problem", PROBLEMS)
def test_each_problem_has_its_figure_and_what_the_doctor_said(problem):
    path = DOCS / "images" / "problems" / f"{problem}.png"
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG") and len(content) < 60_000
    page = (DOCS / "problems.md").read_text("utf-8")
    assert f"images/problems/{problem}.png" in page


def test_every_link_leads_somewhere(site):
    pages = {p: p.read_text("utf-8") for p in site.rglob("*.html")}
    names = {p: set(re.findall(r'\bid="([^"]+)"', t)) for p, t in pages.items()}
    for page, text in pages.items():
        if page.name == "404.html":  # Its links begin at the site's root.
            continue
        for link in re.findall(r'<(?:a|img)[^>]+(?:href|src)="([^"]+)"', text):
            if re.match(r"\w+:", link):
                continue
            path, _, anchor = html.unescape(link).partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), (page.name, link)
            if anchor and target.suffix == ".html":
                assert anchor in names[target], (page.name, link)


def test_every_example_is_in_the_gallery():
    page = (DOCS / "examples.md").read_text("utf-8")
    for script in (ROOT / "examples").glob("*.py"):
        if script.stem in ("lab", "drop_in"):
            continue
        doc = ast.get_docstring(ast.parse(script.read_text("utf-8")))
        assert f"### {doc.partition(chr(10))[0]}\n" in page
        assert f"python examples/{script.name}\n" in page


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_doctor_still_says_what_the_page_quotes(problem, monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    import sick_networks

    doctor, _ = sick_networks.train(problem, sick=True)
    finding = doctor.findings[0]
    assert finding.problem == problem
    title = report.text([finding]).partition(" (")[0]
    quoted = (DOCS / "problems.md").read_text("utf-8")
    section = quoted.partition(f"problems/{problem}.png")[2].partition("##")[0]
    assert title in section
