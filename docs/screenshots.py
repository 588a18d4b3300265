"""Takes the screenshots of docs/images from a running MLflow UI.

    make search ui &            # the store to show
    pip install selenium        # and Chromium with its driver
    python docs/screenshots.py http://127.0.0.1:5000 digits

Three pages: the experiment with its trials, the charts of the best trial, and
the heat map of the trial whose weakest gradient is the smallest.
"""

import argparse
import pathlib
import shutil
import tempfile
import time
from typing import Any

import mlflow
from selenium import webdriver
from selenium.webdriver.common.by import By

IMAGES = pathlib.Path(__file__).parent / "images"
# Seconds for a page of MLflow to come to rest.
WAIT = 12
EXPANDER = '//*[@role="row"]//*[contains(@col-id, "Run Name")]//button'
COLUMNS = '//button[contains(., "Columns")]'
CHECKBOX = (
    '//*[contains(@class, "tree-treenode")]'
    '[.//*[normalize-space(text())="{}"]]'
    '//*[contains(@class, "tree-checkbox")]'
)
HIDDEN = ("Dataset", "Source")
SHOWN = ("score", "dead_relu/global", "depth", "activation", "initializer")
# No toolbars of charts, no paths of the machine at hand.
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


def shoot(driver: Any, url: str, name: str, *clicks: str) -> None:
    """Save what a page looks like after clicks on some elements.

    Args:
        driver: The browser.
        url: The page.
        name: File name of the image.
        *clicks: XPath of each element to click; one that is not there is
            passed over.
    """
    driver.get(url)
    time.sleep(WAIT)
    driver.execute_script(TIDY)
    for path in ('//*[@aria-label="Close"]', *clicks):
        for element in driver.find_elements(By.XPATH, path)[:1]:
            driver.execute_script("arguments[0].click()", element)
            time.sleep(3)
    driver.save_screenshot(str(IMAGES / name))


def main() -> None:
    """Find the runs to show, and show them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server")
    parser.add_argument("experiment")
    args = parser.parse_args()
    client = mlflow.MlflowClient(args.server)
    experiment = client.get_experiment_by_name(args.experiment)
    trials = client.search_runs(
        [experiment.experiment_id],
        "tags.`mlflow.parentRunId` != ''",
        order_by=["metrics.score DESC"],
    )
    best = trials[0].info.run_id
    page = f"{args.server}/#/experiments/{experiment.experiment_id}"
    driver = browser()
    kind = "workflowType=machine_learning"
    toggled = [CHECKBOX.format(name) for name in (*HIDDEN, *SHOWN)]
    try:
        shoot(
            driver,
            f"{page}/runs?{kind}",
            "mlflow_experiment.png",
            EXPANDER,
            COLUMNS,
            *toggled,
            COLUMNS,
        )
        shoot(
            driver,
            f"{page}/runs/{best}/model-metrics?{kind}",
            "mlflow_charts.png",
        )
        sick = min(trials, key=weakest_gradient).info.run_id
        shoot(
            driver,
            f"{page}/runs/{sick}/artifacts/gradient_norms.png?{kind}",
            "mlflow_heat_map.png",
        )
    finally:
        driver.quit()


def weakest_gradient(run: Any) -> float:
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
