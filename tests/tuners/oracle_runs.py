"""Going through an oracle without training anything."""

import keras_tuner

from keras_ext.tuners import oracles


def space(*names, values=(1, 2, 3, 4)):
    hp = keras_tuner.HyperParameters()
    for name in names:
        hp.Choice(name, list(values))
    return hp


def begun(oracle, folder, is_patched=True):
    """Give an oracle a project directory, and what was saved there."""
    oracle._set_project_dir(str(folder), "search")
    oracle.verbose = 0
    if is_patched:
        oracles.make_crash_safe(oracle)
    if (folder / "search" / "oracle.json").exists():
        oracle.reload()
    return oracle


def end(oracle, trial, score, step=0):
    """End a trial with a score; without one it has failed."""
    trial.status = "INVALID" if score is None else "COMPLETED"
    if score is not None:
        name = oracle.objective.name
        oracle.update_trial(trial.trial_id, {name: score}, step=step)
    oracle.end_trial(trial)


def run(oracle, score_of, most=1000):
    """Run trials until the oracle stops; return them."""
    trials = []
    for _ in range(most):
        trial = oracle.create_trial("tuner0")
        if trial.status == "STOPPED":
            break
        trials.append(trial)
        end(oracle, trial, score_of(trial))
    return trials
