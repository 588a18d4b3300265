"""The workflows of the repository, and the hooks before a commit."""

import re

import pytest
import yaml

from tests.packaging.commands import ROOT

pytestmark = pytest.mark.backend("torch")

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_workflow_is_valid_and_may_do_little(path):
    workflow = yaml.safe_load(path.read_text("utf-8"))
    # YAML 1.1 reads the key `on` as true.
    assert {"name", True, "permissions", "jobs"} <= set(workflow)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["runs-on"] and job["timeout-minutes"]
        for step in job["steps"]:
            if "uses" in step:
                assert re.search(r"@(v\d+|release/v\d+)$", step["uses"])
            target = re.match(r"make ([\w-]+)", step.get("run", ""))
            if target:
                assert re.search(rf"^{target[1]}:", MAKEFILE, re.M)


def test_a_release_needs_no_stored_token():
    (path,) = [path for path in FILES if path.name == "release.yml"]
    publish = yaml.safe_load(path.read_text("utf-8"))["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["environment"] == "pypi"
    for file in FILES:
        assert "secrets." not in file.read_text("utf-8")


def test_hooks_use_the_ruff_of_the_tests():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (ruff,) = [
        r for r in config["repos"] if r["repo"].endswith("ruff-pre-commit")
    ]
    tested = (ROOT / "constraints" / "tested.txt").read_text()
    assert f"ruff=={ruff['rev'].removeprefix('v')}\n" in tested
