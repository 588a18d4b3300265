"""Running a search: what needs Keras, keras-tuner and MLflow."""

import contextlib
import io
import os
from pathlib import Path

from tuning import folders, report
from tuning.data import Data
from tuning.quiet import quiet_loggers, starting_quietly
from tuning.settings import Settings, UsageError

with starting_quietly():
    import keras

    # Starts the backend, which has something to say of its own.
    keras.ops.convert_to_numpy(keras.ops.zeros(1))

    from keras_ext.tracking import TrackingError, connect, redact
    from tuning.digits import (
        BATCH_SIZE,
        DigitsModel,
        DigitsSearch,
        search_seed,
    )
quiet_loggers()

DEFAULT_STORE = "sqlite:///mlflow.db"


def reachable_store(given: str | None, settings: Settings) -> str:
    """Return the URI of an MLflow store that answers.

    Args:
        given: `--tracking-uri`.
        settings: The search. Of the URI it keeps what is no secret; a
            resumed search must get the same store again.

    Raises:
        UsageError: If it does not answer, or is not the search's.
    """
    began_with = settings.tracking_uri
    variable = os.environ.get("MLFLOW_TRACKING_URI")
    store = given or variable or DEFAULT_STORE
    if began_with is not None and redact(store) != began_with:
        if given:
            raise UsageError(
                f"the search is recorded in {began_with!r}; it cannot be "
                f"resumed in {redact(given)!r}"
            )
        store = began_with
        if "***" in store:
            raise UsageError(
                f"the search is recorded in {began_with!r}; its credentials "
                "are not kept: pass --tracking-uri again"
            )
    path = store.removeprefix("sqlite:///")
    if began_with is not None and path != store and not Path(path).exists():
        raise UsageError(f"the search is recorded in {store!r}; it is gone")
    settings.tracking_uri = redact(store)
    try:
        connect(store)
    except (TrackingError, ImportError) as error:
        raise UsageError(str(error)) from error
    return store


def run_new(settings: Settings, data: Data, store: str, directory: Path) -> int:
    """Run a new search in a folder of its own.

    Args:
        settings: The search.
        data: The images.
        store: The MLflow store.
        directory: Where the searches are.

    Returns:
        The exit status.
    """
    folder = folders.create(directory, settings)
    try:
        return run(settings, data, store, folder)
    finally:
        folders.discard_if_unused(directory, folder)


def run(settings: Settings, data: Data, store: str, folder: Path) -> int:
    """Run the search of `folder`, or what is left of it.

    Args:
        settings: The search.
        data: The images.
        store: The MLflow store.
        folder: The search's folder.

    Returns:
        The exit status: 130 after Ctrl-C.
    """
    with folders.held(folder):
        settings.save(folder)
        tuner = _tuner(settings, data, store, folder)
        print(report.opening(settings, folder, data), flush=True)
        try:
            accuracy = _searched(tuner, settings, data)
        except KeyboardInterrupt:
            if tuner.run_id is None:
                # Not even begun: there is nothing to be resumed.
                raise
            print(report.interrupted(tuner.trial_rows(), settings, folder))
            return 130
        except TrackingError as error:
            raise UsageError(str(error)) from error
        settings.finished = True
        settings.save(folder)
    best = tuner.client.get_run(tuner.run_id).data.tags.get("best_model")
    print(report.finished(tuner.trial_rows(), settings, accuracy, best))
    return 0


def _tuner(
    settings: Settings, data: Data, store: str, folder: Path
) -> DigitsSearch:
    pixels = data.train.x.shape[1]
    # keras-tuner says where it reloads from; the opening says so better.
    with contextlib.redirect_stdout(io.StringIO()):
        return DigitsSearch(
            DigitsModel(pixels, data.classes, settings.seed),
            objective="val_accuracy",
            max_trials=settings.trials,
            seed=search_seed(settings.seed),
            directory=str(folder.parent),
            project_name=folder.name,
            experiment=settings.experiment,
            tracking_uri=store,
            run_name=folder.name,
            tags={"dataset": settings.data_file or settings.dataset},
        )


def _searched(tuner: DigitsSearch, settings: Settings, data: Data) -> float:
    """Search, and return the test accuracy of the best trial's best epoch."""
    tuner.search(
        data.train.x,
        data.train.y,
        validation_data=(data.validation.x, data.validation.y),
        epochs=settings.epochs,
        batch_size=BATCH_SIZE,
        validation_batch_size=512,
    )
    model = tuner.get_best_models(1)[0]
    scores = model.evaluate(
        data.test.x, data.test.y, verbose=0, return_dict=True
    )
    client, run_id = tuner.client, tuner.run_id
    client.log_metric(run_id, "best/test_accuracy", scores["accuracy"])
    # Whoever loads the model has to standardize in the same way.
    statistics = {"mean": data.mean.tolist(), "scale": data.scale}
    client.log_dict(run_id, statistics, "standardization.json")
    return scores["accuracy"]
