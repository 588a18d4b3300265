import subprocess
import sys

import keras
import mlflow

import keras_ext
from keras_ext.tracking import environment_tags


def test_versions():
    tags = environment_tags()
    assert tags["keras_ext.version"] == keras_ext.__version__
    assert tags["keras.version"] == keras.version()
    assert tags["keras.backend"] == keras.config.backend()
    assert tags["keras.backend.version"]
    assert tags["python.version"] == sys.version.split()[0]
    assert tags["mlflow.version"] == mlflow.__version__
    assert tags["mlflow.source.type"] == "LOCAL"
    assert all(type(value) is str and value for value in tags.values())


def git(folder, *args):
    options = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run(
        ["git", *options, *args],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def test_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "mlflow.source.git.commit" not in environment_tags()
    git(tmp_path, "init", "-b", "main")
    git(tmp_path, "commit", "--allow-empty", "-m", "first")
    tags = environment_tags()
    assert tags["mlflow.source.git.commit"] == git(
        tmp_path, "rev-parse", "HEAD"
    )
    assert tags["mlflow.source.git.branch"] == "main"


def test_no_git(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "mlflow.source.git.commit" not in environment_tags()
