import contextlib
import io
import sys

import mlflow
import pytest

from tests.tuners import searching


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tracking_uri):
    """A search that came to its end, where there is no tensorboard."""
    tuner = searching.tuner(
        tmp_path_factory.mktemp("finished"),
        tracking_uri,
        run_name="a small search",
        tags={"team": "blue"},
    )
    before = mlflow.get_tracking_uri(), mlflow.active_run()
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "tensorboard", None)
        with contextlib.redirect_stdout(printed):
            searching.search(tuner)
    tuner.printed = printed.getvalue()
    assert (mlflow.get_tracking_uri(), mlflow.active_run()) == before
    return tuner
