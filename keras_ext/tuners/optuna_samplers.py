"""Optuna's samplers by name, and the packages that they need."""

import importlib
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

SAMPLERS = ("tpe", "cmaes", "gp", "nsga2", "random")
# Samplers that store attributes of their own in the study.
WITH_ATTRIBUTES = ("cmaes", "nsga2")

_NEEDS = {"cmaes": ["cmaes"], "gp": ["scipy", "torch"]}
_EXTRA = 'pip install "keras-ext[optuna]"'
_INSTALL = {
    "optuna": _EXTRA,
    "cmaes": _EXTRA,
    "scipy": "pip install scipy",
    "torch": "pip install torch",
}


def check_sampler(sampler: Any, objectives: int = 1) -> None:
    """Raise if a sampler is unknown, or a package that it needs is missing."""
    optuna = _import("optuna", "`OptunaSearch`")
    if isinstance(sampler, optuna.samplers.BaseSampler):
        return
    if sampler not in SAMPLERS:
        names = ", ".join(repr(name) for name in SAMPLERS)
        raise ValueError(
            f"`sampler` must be one of {names}, or an "
            f"`optuna.samplers.BaseSampler`. Received: {sampler!r}"
        )
    if sampler == "cmaes" and objectives > 1:
        raise ValueError(
            "`sampler` must be 'nsga2', 'tpe', 'gp' or 'random' for several "
            f"objectives. Received: 'cmaes' and {objectives} objectives"
        )
    for module in _NEEDS.get(sampler, ()):
        _import(module, f"`sampler={sampler!r}`")


def make_sampler(
    name: str,
    seed: int,
    n_startup_trials: int | None = None,
    others_running: bool = False,
) -> "BaseSampler":
    """Return the sampler with this name, one of `SAMPLERS`."""
    from optuna import exceptions, samplers

    options: dict[str, Any] = {"seed": seed}
    if n_startup_trials is not None:
        size = "population_size" if name == "nsga2" else "n_startup_trials"
        options[size] = n_startup_trials
    with warnings.catch_warnings():
        # Optuna calls `group` and `constant_liar` experimental.
        warnings.simplefilter("ignore", exceptions.ExperimentalWarning)
        if name == "tpe":
            return samplers.TPESampler(
                multivariate=True,
                group=True,
                # Optuna's 24 are few for all hyperparameters together.
                n_ei_candidates=64,
                constant_liar=others_running,
                **options,
            )
        if name == "nsga2":
            return samplers.NSGAIISampler(**options)
        if name == "random":
            return samplers.RandomSampler(seed)
        # These two have no categories and no conditional hyperparameters.
        others = samplers.TPESampler(multivariate=False, seed=seed)
        kind: Any = samplers.GPSampler
        if name == "cmaes":
            kind = samplers.CmaEsSampler
        return kind(
            independent_sampler=others,
            warn_independent_sampling=False,
            **options,
        )


def _import(module: str, what: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module:
            raise
        raise ImportError(
            f"{what} needs {module}, which is not installed. Install it with "
            f"`{_INSTALL[module]}`."
        ) from error
