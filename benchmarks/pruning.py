"""The savings and the cost of ending hopeless trials early.

    KERAS_BACKEND=torch python -m benchmarks.pruning

A random search over the models of `tuning/digits.py` runs twice for each
seed: plain, and with `stop_unhealthy=True` and a pruner. The trials draw the
same hyperparameters and the same random numbers in both. The order of the two
changes from seed to seed. The columns are the ratio of the wall times, the
ratio of the CPU times of the process, and the best validation accuracies. The
limit: the same accuracy in at most 0.6 of the wall time, in the median of 5
seeds.

    KERAS_BACKEND=torch python -m benchmarks.pruning --replay --seeds 14

runs plain searches alone. The values that their trials reported show which
share of the epochs each pruner would have trained, and how much of the best
score it would have missed.
"""

import argparse
import contextlib
import io
import os
import pathlib
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from keras_ext.cli.search.running import Search
from keras_ext.cli.search.settings import Settings
from keras_ext.tracking import connect
from keras_ext.tuners import ASHAPruner, MedianPruner, Pruner
from keras_ext.tuners.pruning.pruners import TrialHistory, get_pruner
from tuning.digits import Digits

LIMIT = 0.6


@dataclass
class Cost:
    """Seconds of a search, its best score, and how many trials it pruned.

    And the objective of each trial, epoch by epoch.
    """

    wall: float
    cpu: float
    score: float
    pruned: int
    curves: list[list[float]]


def search(seed: int, trials: int, epochs: int, **options) -> Cost:
    settings = Settings(
        "digits",
        trials,
        epochs,
        seed,
        "pruning",
        objective="val_accuracy",
        **options,
    )
    digits = Digits()
    search = Search(digits, digits.load(settings), settings, "")
    with tempfile.TemporaryDirectory() as folder:
        tuner = search.tuner(
            f"sqlite:///{folder}/mlflow.db", pathlib.Path(folder, "search")
        )
        wall, cpu = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            search.search(tuner)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        rows = tuner.trial_rows()
        best = tuner.oracle.get_best_trials(1)[0].score
        client = connect(f"sqlite:///{folder}/mlflow.db")
        histories = [
            client.get_metric_history(trial.info.run_id, "val_accuracy")
            for trial in client.search_runs(
                [client.get_run(tuner.run_id).info.experiment_id],
                f"tags.`mlflow.parentRunId` = '{tuner.run_id}'",
                order_by=["attributes.start_time"],
            )
        ]
    pruned = sum(row["status"] == "KILLED" for row in rows)
    curves = [[metric.value for metric in history] for history in histories]
    return Cost(wall, cpu, float(best), pruned, curves)


def replay(pruner: Pruner, curves: list[list[float]]) -> tuple[int, float]:
    """Return the epochs that a pruner leaves, and the best score in them."""
    other_trials: list[TrialHistory] = []
    best = 0.0
    for curve in curves:
        values: dict[int, float] = {}
        for epoch, value in enumerate(curve):
            values[epoch] = max(value, *values.values(), 0.0)
            if pruner.judge(epoch, dict(values), other_trials, "max"):
                break
        other_trials.append(TrialHistory(values, len(values) == len(curve)))
        best = max([best, *values.values()])
    return sum(len(other.values) for other in other_trials), best


def print_replays(seeds: int, trials: int, epochs: int) -> None:
    """Print what pruners would have made of plain searches."""
    plain = [search(i, trials, epochs).curves for i in range(1, seeds + 1)]
    print("| pruner | epochs, median share | missed the best | by at most |")
    print("|---|---|---|---|")
    for pruner in (MedianPruner(), ASHAPruner(), ASHAPruner(2)):
        shares, lost = [], []
        for curves in plain:
            left, best = replay(pruner, curves)
            shares.append(left / sum(map(len, curves)))
            lost.append(max(map(max, curves)) - best)
        print(
            f"| {pruner} | {statistics.median(shares):.2f} | "
            f"{sum(x > 0 for x in lost)} of {seeds} | {max(lost):.4f} |"
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--pruner", default="asha", help="median or asha")
    parser.add_argument(
        "--min-epochs", type=int, help="of asha; default: its own"
    )
    parser.add_argument("--replay", action="store_true")
    args = parser.parse_args()
    if args.replay:
        print_replays(args.seeds, args.trials, args.epochs)
        return
    pruner = get_pruner(args.pruner)
    if args.min_epochs:
        pruner = ASHAPruner(args.min_epochs)
    early = {"stop_unhealthy": True, "pruner": pruner}
    # What is loaded and made once counts for neither.
    search(0, 1, 1, **early)
    print(
        f"{keras.config.backend()}, {args.trials} trials of {args.epochs} "
        f"epochs, {pruner}\n"
    )
    print("| seed | wall | CPU | plain, s | pruned | best, plain | best |")
    print("|---|---|---|---|---|---|---|")
    pairs = []
    for seed in range(1, args.seeds + 1):
        costs = {}
        for options in ({}, early) if seed % 2 else (early, {}):
            cost = search(seed, args.trials, args.epochs, **options)
            costs[bool(options)] = cost
        plain, ended = costs[False], costs[True]
        pairs.append((plain, ended))
        print(
            f"| {seed} | {ended.wall / plain.wall:.2f} | "
            f"{ended.cpu / plain.cpu:.2f} | {plain.wall:.0f} | "
            f"{ended.pruned} | {plain.score:.4f} | {ended.score:.4f} |",
            flush=True,
        )
    wall = statistics.median(e.wall / p.wall for p, e in pairs)
    cpu = statistics.median(e.cpu / p.cpu for p, e in pairs)
    lost = statistics.median(p.score - e.score for p, e in pairs)
    print(f"| median | {wall:.2f} | {cpu:.2f} | | | lost: {lost:.4f} | |")
    sys.exit(wall > LIMIT or lost > 0)


if __name__ == "__main__":
    main()
