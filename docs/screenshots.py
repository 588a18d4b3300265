"""Takes the screenshots of docs/images from a running MLflow UI.

    make search ui &            # the store to show
    pip install selenium        # and Chromium with its driver
    python docs/screenshots.py http://127.0.0.1:5000 digits

Two pages of a small search: the charts of the best trial, and the heat map of
the trial with the smallest gradient norm. With `--pages search`, three pages of
a longer search: its trials, a comparison of the best trials, and the health of
all trials.
"""

import argparse
import json
import pathlib
import shutil
import tempfile
import time
from collections.abc import Callable
from typing import Any

import mlflow
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

IMAGES = pathlib.Path(__file__).parent / "images"
# Seconds that a page of MLflow needs to load.
WAIT = 12
EXPANDER = '//*[@role="row"]//*[contains(@col-id, "Run Name")]//button'
COLUMNS = '//button[contains(., "Columns")]'
CHECKBOX = (
    '//*[contains(@class, "tree-treenode")]'
    '[.//*[normalize-space(text())="{}"]]'
    '//*[contains(@class, "tree-checkbox")]'
)
KIND = "workflowType=machine_learning"
# Number of the best trials in the comparison.
COMPARED = 8
CHOSEN = '//*[contains(@class, "selection-item-remove")]'
HYPERPARAMETERS = ("activation", "layers", "units", "learning_rate")
HIDDEN = ("Dataset", "Source")
# Hides toolbars of charts and paths of this machine.
TIDY = """
const style = document.createElement("style");
style.textContent = ".modebar { display: none !important }";
document.head.append(style);
for (const e of document.querySelectorAll("div, span")) {
    if (e.textContent.startsWith("Path:")) e.style.visibility = "hidden";
}
"""


def browser() -> Any:
    """Return a headless Chromium."""
    options = webdriver.ChromeOptions()
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-background-networking",
        "--window-size=1500,1300",
        f"--user-data-dir={tempfile.mkdtemp()}",
    ):
        options.add_argument(argument)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


class Pages:
    """The pages of an experiment.

    Args:
        server: The server's address.
        experiment: The experiment's id.
    """

    def __init__(self, server: str, experiment: str):
        self.server = server
        self.experiment = experiment
        self.driver = browser()

    def shoot(
        self,
        page: str,
        name: str,
        *clicks: str,
        of_server: bool = False,
        act: Callable[[Any], None] = lambda driver: None,
        height: int = 1300,
    ) -> None:
        """Save a screenshot of a page after clicks on some elements.

        Args:
            page: The page's address in the experiment.
            name: File name of the image.
            *clicks: XPath of each element to click, if there is one.
            of_server: Whether the page does not belong to the experiment.
            act: Called with the browser before the screenshot.
            height: Height of the window in pixels.
        """
        self.driver.set_window_size(1500, height)
        place = "" if of_server else f"experiments/{self.experiment}/"
        self.driver.get(f"{self.server}/#/{place}{page}")
        time.sleep(WAIT)
        self.driver.execute_script(TIDY)
        for path in ('//*[@aria-label="Close"]', *clicks):
            for element in self.driver.find_elements(By.XPATH, path)[:1]:
                self.driver.execute_script("arguments[0].click()", element)
                time.sleep(3)
        act(self.driver)
        self.driver.save_screenshot(str(IMAGES / name))


def main() -> None:
    """Find the runs, and take their screenshots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server")
    parser.add_argument("experiment")
    parser.add_argument(
        "--pages", choices=("digits", "search"), default="digits"
    )
    args = parser.parse_args()
    client = mlflow.MlflowClient(args.server)
    experiment = client.get_experiment_by_name(args.experiment)
    trials = client.search_runs(
        [experiment.experiment_id],
        "tags.`mlflow.parentRunId` != ''",
        order_by=["metrics.score DESC"],
    )
    pages = Pages(args.server, experiment.experiment_id)
    try:
        if args.pages == "digits":
            shoot_digits(pages, trials)
        else:
            shoot_search(pages, trials)
    finally:
        pages.driver.quit()


def shoot_digits(pages: Pages, trials: list[Any]) -> None:
    """Show the best trial of a small search, and a sick trial."""
    best = trials[0].info.run_id
    pages.shoot(f"runs/{best}/model-metrics?{KIND}", "mlflow_charts.png")
    sick = min(trials, key=min_grad_norm).info.run_id
    pages.shoot(
        f"runs/{sick}/artifacts/gradient_norms.png?{KIND}",
        "mlflow_heat_map.png",
    )


def shoot_search(pages: Pages, trials: list[Any]) -> None:
    """Show a long search: its trials, the best ones, and their health."""
    parent = trials[0].data.tags["mlflow.parentRunId"]
    pages.shoot(
        f"runs?{KIND}",
        "search_children.png",
        *table_of(HIDDEN + HYPERPARAMETERS + ("score",)),
    )
    ids = [trial.info.run_id for trial in trials[:COMPARED]]
    pages.shoot(
        f"compare-runs?runs={json.dumps(ids)}&experiments="
        f"{json.dumps([pages.experiment])}&{KIND}",
        "search_compare.png",
        of_server=True,
        act=compare_scores,
        height=1000,
    )
    pages.shoot(
        f"runs/{parent}/artifacts/trial_health.png?{KIND}",
        "search_health_page.png",
        height=800,
    )


def compare_scores(driver: Any) -> None:
    """Choose the score as the metric of the comparison page."""
    driver.find_elements(By.XPATH, CHOSEN)[-1].click()
    box = driver.find_elements(By.XPATH, '//input[@role="combobox"]')[-1]
    for keys in ("score", Keys.ENTER, Keys.ESCAPE):
        box.send_keys(keys)
        time.sleep(2)


def table_of(toggled: tuple[str, ...]) -> tuple[str, ...]:
    """Return the clicks that open a search's run and choose the columns."""
    boxes = (CHECKBOX.format(name) for name in toggled)
    return (EXPANDER, COLUMNS, *boxes, COLUMNS)


def min_grad_norm(run: Any) -> float:
    """Return the smallest gradient norm that is not zero, of a ReLU net."""
    norms = [
        value
        for key, value in run.data.metrics.items()
        if key.startswith("grad_norm/") and value > 0
    ]
    deep = int(run.data.params.get("depth", 0)) >= 4
    return min(norms, default=1.0) if deep else 1.0


if __name__ == "__main__":
    main()
