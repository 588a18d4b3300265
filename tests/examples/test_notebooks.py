"""The notebooks run, and their stored outputs are there and say nothing odd."""

import json
import os
import pathlib
import re

import pytest

FOLDER = pathlib.Path(__file__).parents[2] / "examples" / "notebooks"
# Words that the stored outputs must hold: they are of this package's doing.
SAYS = {
    "quickstart": ("unscaled input", "Gradient norm (L2)", "standardized"),
    "why_is_my_network_not_learning": (
        "vanishing gradient",
        "exploding gradient",
        "learning rate too high",
        "The doctor found nothing wrong.",
    ),
}
notebooks = pytest.mark.parametrize("name", list(SAYS))


def code_cells(name):
    notebook = json.loads((FOLDER / f"{name}.ipynb").read_text())
    return [c for c in notebook["cells"] if c["cell_type"] == "code"]


def test_each_notebook_has_a_test():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(SAYS)


@pytest.mark.backend("torch")
@notebooks
def test_stored_outputs(name):
    path = FOLDER / f"{name}.ipynb"
    assert path.stat().st_size < 500_000
    cells = code_cells(name)
    assert [c["execution_count"] for c in cells] == [*range(1, len(cells) + 1)]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error"]
    text = "".join(
        "".join(o.get("text", []) + o.get("data", {}).get("text/plain", []))
        for o in outputs
    )
    for words in SAYS[name]:
        assert words in text
    assert not re.search(r"site-packages|/tmp/|/home/|/root/", text)
    figures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert len(figures) >= 2


@pytest.mark.backend("torch")
@pytest.mark.slow
@notebooks
def test_runs_without_an_error(name, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    for key in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(key, str(tmp_path / key.lower()))
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    work = tmp_path / "work"
    work.mkdir()
    nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(work)}},
    ).execute(env={**os.environ, "KERAS_BACKEND": "torch"})
    text = str([c.get("outputs") for c in notebook.cells])
    for words in SAYS[name]:
        assert words in text
    # What they write goes where they are run, and not beside them.
    assert {path.suffix for path in FOLDER.iterdir()} == {".ipynb"}
