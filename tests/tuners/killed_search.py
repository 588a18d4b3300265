"""A search that kills its own process at a given moment.

    python killed_search.py FOLDER STORE MOMENT RESUME_TRIALS TUNER

`MOMENT` is `TRIAL:EPOCH:WHERE`, or `never`. Each epoch that was trained
leaves a line in `FOLDER/epochs.txt`.
"""

import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import keras

from keras_ext import tuners
from tests.tuners import searching


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class Killer(keras.callbacks.Callback):
    def __init__(self, folder, moment):
        super().__init__()
        self.folder, self.moment = folder, moment
        self.trial = None

    def __deepcopy__(self, memo):
        return self

    def happens(self, epoch, where):
        if f"{self.trial}:{epoch}:{where}" == self.moment:
            die()

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 1:
            self.happens(self.epoch, "batch")

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.happens(epoch, "begin")

    def on_epoch_end(self, epoch, logs=None):
        with open(self.folder / "epochs.txt", "a") as file:
            print(self.trial, epoch, logs["val_loss"], file=file)
        self.happens(epoch, "end")


def main(folder, store, moment, resume_trials, kind):
    folder = pathlib.Path(folder)
    killer = Killer(folder, moment)

    class Search(getattr(tuners, kind)):
        def on_trial_begin(self, trial):
            killer.trial = int(trial.trial_id)
            keras.utils.set_random_seed(killer.trial)
            super().on_trial_begin(trial)
            killer.happens("-", "begun")

        def on_trial_end(self, trial):
            killer.happens("-", "ending")
            super().on_trial_end(trial)
            killer.happens("-", "ended")

    options = {
        "Hyperband": {"max_epochs": 3},
        # The last two trials are those of its model.
        "OptunaSearch": {"max_trials": 4, "n_startup_trials": 2},
    }.get(kind, {"max_trials": 3})
    tuner = Search(
        searching.build,
        "val_loss",
        seed=0,
        directory=str(folder),
        project_name="search",
        tracking_uri=store,
        experiment=f"killed in {folder}",
        resume_trials=resume_trials == "True",
        **options,
    )
    searching.search(
        tuner, epochs=3, callbacks=[killer], verbose=0, shuffle=False
    )
    print(tuner.run_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
