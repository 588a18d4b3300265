"""The doctor's diagnosis in an MLflow run, also if `fit` raises."""

import logging

from keras_ext.callbacks.training_doctor import TrainingDoctor
from keras_ext.doctor import report
from keras_ext.tracking import RunWriter
from keras_ext.tracking.redaction import scrub

logger = logging.getLogger("keras_ext.tracking")


class Ending:
    """Ends the run of a `fit` that raised, for a `RunGuard`.

    It holds no reference to the callback list: the guard waits until the list
    is deleted.
    """

    def __init__(
        self,
        writer: RunWriter,
        doctors: list[TrainingDoctor],
        is_new: bool,
        figures: bool,
    ):
        self.writer = writer
        self.doctors = doctors
        self.is_new = is_new
        self.figures = figures

    def end(self, status: str) -> None:
        """Log the diagnosis, and end a new run with the status."""
        try:
            log_diagnosis(self.writer, self.doctors, self.figures)
        except Exception as error:
            logger.warning(
                "The diagnosis is missing in MLflow run %s: %s: %s",
                self.writer.run_id,
                type(error).__name__,
                scrub(error),
            )
        if self.is_new:
            self.writer.end(status)


def log_diagnosis(
    writer: RunWriter, doctors: list[TrainingDoctor], figures: bool
) -> None:
    """Log the findings of the first doctor: all doctors see the same."""
    for doctor in doctors[:1]:
        findings = list(doctor.findings)
        first = findings[0] if findings else None
        chains = [problem for f in findings for problem in f.chain]
        problems = list(dict.fromkeys(chains)) or ["none"]
        layer = first.layer if first else None
        writer.tags(
            {
                "doctor.problem": problems[0],
                "doctor.problems": ",".join(problems),
                "doctor.severity": first.severity if first else "none",
                "doctor.layer": "none" if layer is None else layer,
            }
        )
        writer.text(report.text(findings, width=80), "doctor/report.txt")
        # The figures take a second, and a healthy run does not need them.
        history = doctor.history if figures and findings else None
        writer.text(report.html(findings, history), "doctor/report.html")
