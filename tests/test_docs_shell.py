"""The commands of the README and of the pages exist, with their options."""

import contextlib
import importlib.util
import io
import re
import shlex
import tomllib

import pytest

from keras_ext import cli
from tests.doc_pages import PAGES, ROOT, blocks

# What is not ours; that it is there is the reader's affair.
OTHERS = {
    *("sudo", "mlflow", "openssl", "initdb", "pg_ctl", "createdb", "echo"),
    *("git", "umask", "export", "mkdir", "cat", "ls", "tail", "wait"),
}
# Words of the shell, which a command may follow.
SYNTAX = {"if", "then", "else", "fi", "while", "until", "do", "done", "!"}
MAKEFILE = (ROOT / "Makefile").read_text()
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
    "optional-dependencies"
]
COMMAND = re.compile(
    r"^(?:[A-Z_]+=\S+ )*(?:keras-ext|make|python (?:-m |examples/|docs/)\S+)"
    r"(?: .*)?$"
)


def commands(page):
    """Yield the commands of a page: of shell blocks, and in its text."""
    for block in blocks(page):
        lines = block.text.replace("\\\n", " ").splitlines()
        if block.language == "sh":
            yield from filter(None, lines)
        elif block.language == "":
            marked = [x.removeprefix("$ ") for x in lines if x[:2] == "$ "]
            bare = [line for line in lines if COMMAND.match(line)]
            yield from marked or bare
    text = re.sub(
        r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S
    )
    spans = re.findall(r"`([^`]+)`", text) + re.findall("^    (.+)", text, re.M)
    for span in spans:
        line = " ".join(span.split())
        if COMMAND.match(line):
            yield line


def words_of(line):
    """Yield the words of each simple command of a line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()")
    lexer.whitespace_split = True
    words = []
    for token in lexer:
        if set(token) <= set(";&|()"):
            yield words
            words = []
        else:
            words.append(token)
    yield words


def check(words, scripts):
    """Fail if a command of ours, or a file, is not there."""
    while words and (words[0] in SYNTAX or re.match(r"[A-Z_]+=", words[0])):
        words = words[1:]
    if not words or words[0] in ("[", ":"):
        return
    head, *rest = words
    rest = [w for w in rest if w not in ("...", "…")]
    if head == "keras-ext":
        if "…" in words and rest[0] == "search":
            rest.insert(1, "digits")  # Whichever.
        check_keras_ext(rest)
    elif head == "make":
        for target in [w for w in rest if "=" not in w]:
            assert re.search(rf"^{target}:", MAKEFILE, re.M), target
    elif head == "pip":
        for extra in re.findall(
            r"[\w-]+", "".join(re.findall(r"\[.*?\]", str(rest[-1])))
        ):
            assert extra in EXTRAS, extra
    elif head == "python":
        check_python(rest, scripts)
    else:
        assert head in OTHERS, head


def check_keras_ext(arguments):
    # `--tuner` in the text is an option without its value.
    complaint = io.StringIO()
    with contextlib.redirect_stderr(complaint):
        try:
            cli._parser().parse_args(arguments)
        except SystemExit as done:
            assert done.code in (None, 0), complaint.getvalue()
        except cli.UsageError as error:
            assert len(arguments) < 2, error


def check_python(arguments, scripts):
    if arguments[0] == "-m":
        module, *options = arguments[1:]
        folder = ROOT / module.replace(".", "/")
        assert importlib.util.find_spec(module), module
        files = [folder.with_suffix(".py"), *folder.glob("**/*.py")]
        # Some read their arguments elsewhere in the package.
        files += (ROOT / "keras_ext" / "cli").glob("**/*.py")
        files += (ROOT / "benchmarks").glob("*.py")
    elif arguments[0] in scripts:
        return
    else:
        script, *options = arguments
        assert (ROOT / script).is_file(), script
        files = [ROOT / script, ROOT / "examples" / "lab.py"]
    source = "".join(f.read_text() for f in files if f.is_file())
    for option in [o for o in options if o.startswith("--")]:
        assert f'"{option}"' in source, option


@pytest.mark.backend("torch")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page):
    # Scripts that a page shows.
    shown = "".join(other.read_text("utf-8") for other in PAGES)
    scripts = re.findall(r"^# (\w+\.py)$", shown, re.M)
    for line in commands(page):
        for words in words_of(line):
            check(words, scripts)


@pytest.mark.backend("torch")
@pytest.mark.parametrize(
    "line",
    [
        "keras-ext serch wine",
        "keras-ext search wine --tuners optuna",
        "make benches",
        "python examples/xxor.py",
        "python examples/xor.py --quicker",
        "python -m benchmarks.nothing",
        'pip install ".[tensor]"',
        "kers-ext ui",
    ],
)
def test_a_wrong_command_is_found(line):
    with pytest.raises((AssertionError, ModuleNotFoundError)):
        for words in words_of(line):
            check(words, [])
