"""The trials that `OptunaSearch` needs to match random search.

    python -m benchmarks.samplers [--seeds 8] [--first 0] [--cache FOLDER]

It takes a quarter of an hour and prints Markdown tables. Each search is a real
one: a keras-tuner tuner whose trials train and validate scikit-learn models
on data that come with scikit-learn. The training's own seed is fixed, so that
equal values have equal scores, which `--cache` keeps.

The first table has the number of trials after which the lowest validation loss
of `OptunaSearch`, as the median over the seeds, is as low as that of random
search after 50 and after 100 trials. Brackets hold the ratio of these numbers
of trials; the limit at 100 is 0.6. A regret is the distance of a median at the
end from the lowest loss that any search has seen. The second table has the
time for one suggestion after 200 trials.
"""

import argparse
import hashlib
import json
import math
import os
import pathlib
import statistics
import tempfile
import time
import warnings

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import keras_tuner
import numpy as np
from sklearn import datasets
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    KFold,
    StratifiedKFold,
    cross_val_predict,
    train_test_split,
)
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keras_ext.tuners import OptunaOracle

RANDOM_TRIALS, OUR_TRIALS, LIMIT = 100, 60, 0.6
SUGGESTION_LIMIT = 0.050  # seconds
HIGHEST_LOSS = 1e6  # what NaN and overflow count as


def mlp_space():
    hp = keras_tuner.HyperParameters()
    hp.Int("layers", 1, 3)
    hp.Int("units", 4, 128, sampling="log")
    hp.Float("alpha", 1e-6, 1, sampling="log")
    hp.Choice("activation", ["relu", "tanh", "logistic"])
    hp.Choice("batch_size", [16, 32, 64, 128])
    hp.Float("rate", 1e-5, 1, sampling="log")
    hp.Choice("solver", ["sgd", "adam"])
    with hp.conditional_scope("solver", ["sgd"]):
        hp.Float("momentum", 0, 0.99)
        hp.Boolean("nesterov")
    with hp.conditional_scope("solver", ["adam"]):
        hp.Float("beta_1", 0.5, 0.999, sampling="reverse_log")
    return hp


def mlp(values, epochs):
    solver = {"momentum": values.get("momentum", 0.0)}
    if values["solver"] == "sgd":
        solver["nesterovs_momentum"] = values["nesterov"]
    else:
        solver = {"beta_1": values["beta_1"]}
    return make_pipeline(
        StandardScaler(),
        MLPClassifier(
            [values["units"]] * values["layers"],
            activation=values["activation"],
            alpha=values["alpha"],
            batch_size=values["batch_size"],
            learning_rate_init=values["rate"],
            solver=values["solver"],
            max_iter=epochs,
            random_state=0,
            **solver,
        ),
    )


def digits(values):
    x, y = datasets.load_digits(return_X_y=True)
    x, x_val, y, y_val = train_test_split(x, y, test_size=0.5, random_state=0)
    return log_loss(y_val, mlp(values, 10).fit(x, y).predict_proba(x_val))


def wine(values):
    x, y = datasets.load_wine(return_X_y=True)
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    predicted = cross_val_predict(
        mlp(values, 15), x, y, cv=folds, method="predict_proba"
    )
    return log_loss(y, predicted)


def boosting_space():
    hp = keras_tuner.HyperParameters()
    hp.Int("trees", 5, 50, sampling="log")
    hp.Float("rate", 1e-3, 1, sampling="log")
    hp.Int("depth", 1, 6)
    hp.Float("share_of_rows", 0.2, 1)
    hp.Float("share_of_columns", 0.1, 1)
    hp.Int("smallest_leaf", 1, 60, sampling="log")
    hp.Choice("loss", ["squared_error", "absolute_error", "huber"])
    with hp.conditional_scope("loss", ["huber"]):
        hp.Float("alpha", 0.5, 0.99)
    return hp


def diabetes(values):
    x, y = datasets.load_diabetes(return_X_y=True)
    model = GradientBoostingRegressor(
        n_estimators=values["trees"],
        learning_rate=values["rate"],
        max_depth=values["depth"],
        subsample=values["share_of_rows"],
        max_features=values["share_of_columns"],
        min_samples_leaf=values["smallest_leaf"],
        loss=values["loss"],
        alpha=values.get("alpha", 0.9),
        random_state=0,
    )
    folds = KFold(2, shuffle=True, random_state=0)
    predicted = cross_val_predict(model, x, y, cv=folds)
    return float(np.mean((predicted - y) ** 2) / y.var())


def synthetic(values):
    """Return a loss with a valley askew, as of learning rate and momentum."""
    rate, decay = math.log10(values["rate"]), math.log10(values["alpha"])
    if values["solver"] == "sgd":
        best = -2 + math.log10(1 - values["momentum"])
        penalty = 0.1 * values["nesterov"]
    else:
        best, penalty = -3, 0.3 * (1 - values["beta_1"])
    return (
        0.5 * (rate - best) ** 2
        + 0.05 * (decay + 4) ** 2
        + 0.2 * (math.log2(values["units"]) - 6) ** 2
        + 0.2 * abs(values["layers"] - 2)
        + 0.3 * ["relu", "tanh", "logistic"].index(values["activation"])
        + 0.1 * abs(math.log2(values["batch_size"]) - 5)
        + penalty
    )


TASKS = {
    "digits, MLP": (digits, mlp_space),
    "wine, MLP, 4 folds": (wine, mlp_space),
    "diabetes, boosted trees, 2 folds": (diabetes, boosting_space),
    "synthetic, 10 hyperparameters": (synthetic, mlp_space),
}


class Losses:
    """The loss of each configuration, computed once and kept in a folder."""

    def __init__(self, task, folder):
        self.loss, _ = TASKS[task]
        self.path = pathlib.Path(folder) / f"{self.loss.__name__}.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.known = {}
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                self.known.update(json.loads(line))

    def __call__(self, values):
        """Return the loss of a configuration."""
        text = json.dumps(values, sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:24]
        if key not in self.known:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                try:
                    loss = float(self.loss(values))
                except ValueError:  # weights that are no longer finite
                    loss = HIGHEST_LOSS
            self.known[key] = min(np.nan_to_num(loss, nan=1e9), HIGHEST_LOSS)
            with self.path.open("a") as file:
                file.write(json.dumps({key: self.known[key]}) + "\n")
        return self.known[key]


class Search(keras_tuner.Tuner):
    """A keras-tuner search of a function of the hyperparameters."""

    def __init__(self, oracle, losses, folder):
        super().__init__(oracle, directory=folder, project_name="search")
        self.losses = losses
        self.seen = []

    def run_trial(self, trial, *args, **kwargs):
        """Return the loss of a trial."""
        self.seen.append(self.losses(dict(trial.hyperparameters.values)))
        return self.seen[-1]


def best_so_far(make_oracle, loss, space, seed, trials):
    """Return the lowest loss after each trial of a search."""
    with tempfile.TemporaryDirectory() as folder:
        oracle = make_oracle(
            max_trials=trials, seed=seed, hyperparameters=space()
        )
        search = Search(oracle, loss, folder)
        search.search(verbose=0)
    assert len(search.seen) == trials
    return np.minimum.accumulate(search.seen)


def trials_needed(task, seeds, folder):
    """Return the numbers of a task's row.

    Args:
        task: A key of `TASKS`.
        seeds: Numbers of searches.
        folder: Where scores are kept.

    Returns:
        Numbers of trials after which the median of `OptunaSearch` is as low
        as that of random search after half of its trials, and after all of
        them (infinite if never), and the medians' distances at the end from
        the lowest loss that was ever seen.
    """
    losses, space = Losses(task, folder), TASKS[task][1]

    def medians(make_oracle, trials):
        # keras-tuner counts upwards from its seed.
        curves = [
            best_so_far(make_oracle, losses, space, 100_000 * (s + 1), trials)
            for s in seeds
        ]
        return np.median(curves, axis=0)

    random = medians(keras_tuner.oracles.RandomSearchOracle, RANDOM_TRIALS)
    ours = medians(OptunaOracle, OUR_TRIALS)

    def needed(trials):
        reached = np.flatnonzero(ours <= random[trials - 1])
        return int(reached[0]) + 1 if len(reached) else math.inf

    lowest = min(losses.known.values())
    regrets = random[-1] - lowest, ours[-1] - lowest
    return needed(RANDOM_TRIALS // 2), needed(RANDOM_TRIALS), regrets


def suggestion_seconds(make_oracle, trials=200):
    """Return the median time of the suggestions after `trials` trials.

    Wall time and CPU time of the process.
    """
    oracle = make_oracle(
        max_trials=trials + 20, seed=1, hyperparameters=mlp_space()
    )
    walls, cpus = [], []
    populate = oracle.populate_space

    def timed(trial_id):
        wall, cpu = time.perf_counter(), time.process_time()
        found = populate(trial_id)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        return found

    oracle.populate_space = timed
    with tempfile.TemporaryDirectory() as folder:
        Search(oracle, synthetic, folder).search(verbose=0)
    return (statistics.median(x[-20:]) for x in (walls, cpus))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--cache", default="build/samplers")
    parser.add_argument("--only", help="part of a task's name", default="")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)

    print(
        f"| {options.seeds} seeds | as low as random search after 50 "
        "| after 100 | regret of random search after 100 "
        "| regret of `OptunaSearch` after 60 |"
    )
    print("|---|---|---|---|---|")
    ratios = []
    for task in TASKS:
        if options.only not in task:
            continue
        half, needed, regrets = trials_needed(task, seeds, options.cache)
        ratios.append(needed / RANDOM_TRIALS)
        print(
            f"| {task} | {half} ({2 * half / RANDOM_TRIALS:.2f}) "
            f"| {needed} ({ratios[-1]:.2f}) "
            f"| {regrets[0]:.4f} | {regrets[1]:.4f} |",
            flush=True,
        )
    print(
        "\n| suggestion at 200 trials | wall time | CPU time |\n|---|---|---|"
    )
    slowest = 0.0
    for name, make_oracle in {
        "`OptunaSearch`": OptunaOracle,
        "the same, `avoid_duplicates=False`": lambda **options: OptunaOracle(
            avoid_duplicates=False, **options
        ),
        "`RandomSearch`": keras_tuner.oracles.RandomSearchOracle,
    }.items():
        wall, cpu = suggestion_seconds(make_oracle)
        slowest = max(slowest, cpu)
        print(f"| {name} | {wall * 1e3:.1f} ms | {cpu * 1e3:.1f} ms |")
    missed = [ratio for ratio in ratios if ratio > LIMIT]
    if missed or slowest > SUGGESTION_LIMIT:
        raise SystemExit("A limit was missed.")


if __name__ == "__main__":
    main()
