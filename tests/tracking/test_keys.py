import posixpath
import re

import pytest
from hypothesis import given, strategies as st

from keras_ext.tracking import RunWriter, connect, metric_key

# What is tested here does not depend on the backend: once is enough.
pytestmark = pytest.mark.backend("torch")

names = st.one_of(
    st.text(max_size=300),
    st.text("ab./ :_-é", max_size=12),
    st.text("a/", min_size=245, max_size=260),
)


@given(names)
def test_every_key_is_accepted(name):
    key = metric_key(name)
    assert re.fullmatch(r"[A-Za-z0-9_\-. /:]{1,250}", key)
    assert "//" not in key and ".." not in key
    # MLflow's own condition.
    assert posixpath.normpath(key) == key and not key.startswith("/")
    assert key != "."
    # Once a key, always the same key.
    assert metric_key(key) == key


@given(st.lists(names, unique=True))
def test_different_names_have_different_keys(some):
    assert len({metric_key(name) for name in some}) == len(some)


@pytest.mark.parametrize(
    "name",
    ["loss", "grad_norm/block_1/dense", "val F1:macro", "a.b-c_d", "1", "a/.b"],
)
def test_good_names_stay(name):
    assert metric_key(name) == name


@pytest.mark.parametrize(
    "name, start",
    [
        ("größe", "grosse-"),
        ("Łódź/smørrebrød", "Lodz/smorrebrod-"),
        ("λ/β_1", "lambda/beta_1-"),
        ("conv[0]/kernel (train)", "conv_0/kernel_train-"),
        ("precision (%)", "precision-"),
        ("層/dense", "_/dense-"),
        ("a//b", "a/b-"),
        ("../up", "_/up-"),
        ("/root", "root-"),
        ("", "_-"),
        (".", "_-"),
        ("a" * 400, "a" * 241 + "-"),
    ],
)
def test_bad_names_stay_readable(name, start):
    assert metric_key(name).startswith(start)


def test_the_store_accepts_them(tracking_uri):
    client = connect(tracking_uri)
    run = client.create_run(client.create_experiment("keys"))
    some = ["größe", "a//b", "..", "/root/", "", ".", " x ", "a" * 400, "a?b"]
    writer = RunWriter(client, run.info.run_id)
    writer.metrics(dict.fromkeys(some, 1.0), step=0)
    writer.params(dict.fromkeys(some, 1))
    writer.tags(dict.fromkeys(some, 1))
    assert writer.close()
    assert not writer.rejected
    data = client.get_run(run.info.run_id).data
    assert set(data.metrics) == {metric_key(name) for name in some}
    assert set(data.params) == set(data.metrics) <= set(data.tags)
