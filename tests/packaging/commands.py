"""Commands that the tests of the wheel run."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def run(*command, **kwargs):
    """Returns what a command prints; fails, showing all of it, if it fails."""
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, **kwargs
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def install(wheel, folder):
    """Installs a wheel, and nothing that it needs, into a folder."""
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps")
    run(*pip, "--no-index", "--target", folder, wheel)
