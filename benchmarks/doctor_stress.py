"""Whether the doctor is silent on healthy trainings of unusual kinds.

    KERAS_BACKEND=torch python -m benchmarks.doctor_stress [part of a name]

`doctor_bench` draws plain networks. Here are other kinds: embeddings,
attention, schedules, pretrained and adversarial models, very small batches,
rare classes, targets of large scale, and more. Each model trains on generated
data or scikit-learn's, and has to reach a score. Any finding above info in any
epoch is a false alarm.
"""

import os
import sys
import time

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import keras
import numpy as np

from benchmarks.doctor.unusual import CASES
from keras_ext.callbacks import TrainingDoctor


def trained(case, seed: int) -> tuple[float, bool, list[str]]:
    """Train a case; return its score, whether that is good, and findings."""
    keras.utils.set_random_seed(seed)
    findings: list[str] = []
    doctor = TrainingDoctor(
        on_finding=lambda f: findings.append(
            f"{f.problem} ({f.severity}, epoch {f.epoch}): {f.message}"
        )
    )
    score, good = case(doctor)
    return score, bool(score >= good), findings


def main() -> None:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    seeds = int(os.environ.get("SEEDS", "1"))
    healthy, alarms = 0, 0
    for name, case in CASES.items():
        if wanted not in name:
            continue
        for seed in range(seeds):
            start = time.process_time()
            with np.errstate(all="ignore"):
                score, good, findings = trained(case, seed)
            healthy += good
            alarms += bool(good and findings)
            seconds = time.process_time() - start
            print(
                f"{name}: score {score:.3f}{'' if good else ' TOO LOW'}, "
                f"{seconds:.0f} s",
                *findings,
                sep="\n    ",
                flush=True,
            )
    print(f"\nFalse alarms: {alarms} of {healthy} healthy trainings")


if __name__ == "__main__":
    main()
