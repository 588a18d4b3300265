import pytest
from hypothesis import given, strategies as st

from keras_ext.tracking import redact
from keras_ext.tracking.redaction import scrub

# What is tested here does not depend on the backend: once is enough.
pytestmark = pytest.mark.backend("torch")


@pytest.mark.parametrize(
    "uri, safe",
    [
        ("http://host:5000", "http://host:5000"),
        ("http://me:pass@host:5000/a", "http://***@host:5000/a"),
        ("https://token@host", "https://***@host"),
        ("http://me:p@ss/w?rd#@host/a", "http://***@host/a"),
        (
            "http://host/a?token=abc&x=1#t=2",
            "http://host/a?token=***&x=***#t=***",
        ),
        ("postgresql+psycopg2://u:p@h/db", "postgresql+psycopg2://***@h/db"),
        ("sqlite:////home/me@work/x.db", "sqlite:////home/me@work/x.db"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("./mlruns", "./mlruns"),
        ("databricks", "databricks"),
        ("databricks://profile", "databricks://profile"),
    ],
)
def test_redact(uri, safe):
    assert redact(uri) == safe


@given(
    user=st.text(min_size=1),
    password=st.text("abcXYZ019@/?#&=:;%.~-", min_size=6),
)
def test_no_password_survives(user, password):
    uri = f"https://{user}:{password}@host.example:5000/path"
    assert redact(uri).endswith("@host.example:5000/path")
    assert f":{password}@" not in redact(uri)
    assert len(redact(uri)) == len("https://***@host.example:5000/path")


def test_scrub_text():
    uri = "http://me:geheim%40x@host:5000/?key=abcdef"
    text = (
        f"request to {uri}api failed\n  password geheim@x or geheim%40x, "
        "also at postgresql://u:other@h/db and key abcdef"
    )
    line = scrub(text, uri)
    assert "\n" not in line
    for secret in ("geheim", "other", "abcdef", "me:"):
        assert secret not in line
    assert "host:5000" in line


def test_scrub_environment(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "tok-123")
    assert scrub("Bearer tok-123") == "Bearer ***"


def test_scrub_limit():
    assert scrub("x" * 500, limit=10) == "x" * 9 + "…"
