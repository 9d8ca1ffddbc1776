"""A small sweep: one run per choice, and a table of what came out.

    python -m recipe.sweep DATASET --out DIR --widths 16,24,32,48,96 12,20,36,56,96 --rates 0.001 0.0025 -- --minutes 10

What stands after `--` goes to `recipe.train` as it is. The runs lie in one folder, so `mlflow ui` shows them together
when it is pointed at each run's `mlruns`.
"""

import argparse
import itertools
import json
import subprocess
import sys
from pathlib import Path


def main():
    own, rest = sys.argv[1:], []
    if "--" in own:
        own, rest = own[:own.index("--")], own[own.index("--") + 1:]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--widths", nargs="+", default=["16,24,32,48,96"])
    parser.add_argument("--rates", nargs="+", default=["0.0025"])
    parser.add_argument("--seeds", nargs="+", default=["1"])
    given = parser.parse_args(own)
    rows = []
    for widths, rate, seed in itertools.product(given.widths, given.rates, given.seeds):
        out = given.out / f"w{widths.replace(',', '-')}_r{rate}_s{seed}"
        command = [sys.executable, "-m", "recipe.train", str(given.dataset), "--out", str(out), "--widths", widths, "--rate", rate, "--seed", seed, *rest]
        subprocess.run(command, check=True)
        metrics = json.loads((out / "run.json").read_text(encoding="utf-8"))["metrics"]
        rows.append((max((row["map50"] for row in metrics), default=0.0), widths, rate, seed))
    print("best mAP50  widths  rate  seed")
    for row in sorted(rows, reverse=True):
        print(f"{row[0]:.4f}  {row[1]}  {row[2]}  {row[3]}")


if __name__ == "__main__":
    main()
