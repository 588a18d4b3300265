"""A process that measures several models, or loads what another wrote.

`benchmarks.zoo` starts it. It writes one line of JSON before and after each
model, so that a crash is a row and not the end.
"""

import argparse
import json
import os
import pathlib
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    """Measure or load."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--lines", type=pathlib.Path, required=True)
    parser.add_argument("--load", action="store_true")
    args = parser.parse_args()

    def write(line: Any) -> None:
        with args.lines.open("a") as file:
            file.write(json.dumps(line) + "\n")

    from benchmarks.zoo import conversion, measure, registry, runs

    sources = registry.all_models()
    for name in args.models:
        write({"begins": name})
        own = registry.folder_of(name, args.folder)
        try:
            if args.load:
                row = conversion.load(own)
            else:
                row = measure.measure(name, sources[name], own)
        except Exception as error:
            row = {"fails": {"measuring": runs.brief(error)}}
        write({"name": name, "row": row})


if __name__ == "__main__":
    main()
