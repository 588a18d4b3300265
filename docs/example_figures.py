"""Runs the examples and writes docs/examples.md, the gallery.

    KERAS_BACKEND=torch python docs/example_figures.py [NAME ...]

Figures and printed text go to docs/images/examples/. `--page` runs nothing and
writes the page from the stored files.
"""

import ast
import pathlib
import subprocess
import sys
import textwrap

DOCS = pathlib.Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"
IMAGES = DOCS / "images" / "examples"

GROUPS = {
    "A network that does not learn": [
        *("why_is_it_not_learning", "learning_rate"),
    ],
    "The parts of a network": [
        *("xor", "first_layer", "activation_study", "initialization_depth"),
        "batch_norm_shift",
    ],
    "Gradient descent": ["descent_trajectories", "batch_size", "optimizers"],
    "Generalization": [
        *("overfitting_remedies", "dropout_as_ensemble", "transfer_learning"),
        "multitask",
    ],
    "Larger architectures": ["gan_monitor", "transformer_monitor"],
}
HEAD = """# Examples

Each example asks one question and answers it with measurements. On another
backend the numbers may differ. Options:

- `--figure PATH`: path of the figure.
- `--quick`: a short form.
- `--mlflow sqlite:///mlflow.db`: logs the trainings to MLflow.

The text below each figure is the output on PyTorch. `python
examples/drop_in.py` draws no figure. It shows the effect of one swapped import.
"""


def question_and_story(name: str) -> tuple[str, str]:
    """Return the first line of an example's docstring, and the rest."""
    source = (EXAMPLES / f"{name}.py").read_text("utf-8")
    doc = ast.get_docstring(ast.parse(source)) or ""
    question, _, story = doc.partition("\n\n")
    paragraphs = [p for p in story.split("\n\n") if "python examples/" not in p]
    return question, "\n\n".join(paragraphs)


def section(name: str) -> str:
    """Return an example's part of the page."""
    question, story = question_and_story(name)
    parts = [f"### {question}", story]
    if (IMAGES / f"{name}.png").exists():
        parts.append(f"![{question}](images/examples/{name}.png)")
    parts.append(f"```sh\npython examples/{name}.py\n```")
    printed = IMAGES / f"{name}.txt"
    if printed.exists():
        lines = printed.read_text("utf-8").rstrip().splitlines()
        text = "\n".join(map(wrapped, lines))
        parts.append(f"```\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def wrapped(line: str) -> str:
    """Return a line, wrapped to the width of the page."""
    return textwrap.fill(line, 84, subsequent_indent="    ")


def page() -> str:
    """Return the gallery."""
    parts = [HEAD]
    for title, names in GROUPS.items():
        parts += [f"## {title}\n", *map(section, names)]
    return "\n".join(parts)


def run(name: str) -> bool:
    """Run an example, and keep its figure and its output.

    Returns:
        Whether it ran to its end.
    """
    figure = IMAGES / f"{name}.png"
    script = str(EXAMPLES / f"{name}.py")
    done = subprocess.run(
        [sys.executable, script, "--figure", str(figure)],
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = done.stdout.splitlines()
    text = "\n".join(x for x in lines if not x.startswith("Figure: "))
    print(f"== {name}\n{text}", flush=True)
    if done.returncode == 0:
        (IMAGES / f"{name}.txt").write_text(f"{text}\n", "utf-8")
    return done.returncode == 0


def main(arguments: list[str]) -> int:
    """Run examples, write the page; return the number of failures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    failed = 0
    if "--page" not in arguments:
        every = [name for names in GROUPS.values() for name in names]
        failed = sum(not run(name) for name in arguments or every)
    (DOCS / "examples.md").write_text(page(), "utf-8")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
