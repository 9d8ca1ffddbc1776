"""Measures for tests/promises/scaling/run. Standard library alone."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIDES = [320, 416, 512, 640, 800, 960, 1280]
CAMERAS = [1, 2, 4, 8]
# Of one process.
MOST = 4
SECONDS = float(os.environ.get("STOPLINE_SECONDS", "10"))
ROOT = Path(__file__).resolve().parents[3]
MANIFEST = ROOT / "tests/fixtures/manifests/yolox_nano_416.toml"


def main():
    stopline, plot = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    data = os.environ.get("STOPLINE_FIELD_DATA")
    if not data:
        print("skipped: no field data: YOLOX-nano")
        return
    onnx = Path(data).resolve() / "models/yolox_nano_416.onnx"
    with tempfile.TemporaryDirectory() as folder:
        sides = [(side, *one_input(stopline, onnx, side, Path(folder))) for side in SIDES]
        cameras = [(count, *several(stopline, onnx, count, Path(folder))) for count in CAMERAS]
    tell(sides, cameras)
    plot.parent.mkdir(parents=True, exist_ok=True)
    plot.write_text(drawn(sides, cameras), encoding="utf-8")
    print(f"\nplot: {plot}")


def one_input(stopline, onnx, side, folder):
    """Median and 99th percentile of a frame's ms (prepare, inference, decode) at `side` x `side`."""
    manifest = folder / f"{side}.toml"
    text = MANIFEST.read_text(encoding="utf-8")
    text = re.sub(r"(?m)^rectangle *=.*$", "rectangle = true", text)
    text = re.sub(r"(?m)^width *=.*$", f"width = {side}", text)
    manifest.write_text(re.sub(r"(?m)^height *=.*$", f"height = {side}", text), encoding="utf-8")
    core = os.environ.get("STOPLINE_CORE", str((os.cpu_count() or 1) - 1))
    frames = max(20, int(60 * (416 / side) ** 2))
    said = subprocess.run(
        [stopline, "bench", "--model", onnx, "--manifest", manifest, "--core", core, "--frames", str(frames), "--json", f"pattern:{side}x{side}@30,nv12"],
        check=True, capture_output=True, text=True).stdout
    total = json.loads(said)["stages_us"]["total"]
    return total["median"] / 1e3, total["p99"] / 1e3


def several(stopline, onnx, count, folder):
    """Frames a second decided on by the slowest camera, mean ms from picture to decision, MiB of all processes.

    One process has four cameras at most; more are in further ones.
    """
    runs = [Run(stopline, onnx, min(MOST, count - first), folder / f"run{count}-{first}") for first in range(0, count, MOST)]
    try:
        begun = [run.wait_for(lambda health: all(one["decided"] > 0 for one in health["cameras"])) for run in runs]
        first = time.monotonic()
        time.sleep(SECONDS)
        ended = [run.health() for run in runs]
        took = time.monotonic() - first
        resident = sum(run.resident() for run in runs)
    finally:
        for run in runs:
            run.end()
    rates = []
    for before, after in zip(begun, ended):
        known = {one["name"]: one["decided"] for one in before["cameras"]}
        rates += [(one["decided"] - known[one["name"]]) / took for one in after["cameras"]]
    spent = [sum(total(health)[at] for health in ended) - sum(total(health)[at] for health in begun) for at in (0, 1)]
    return min(rates), spent[0] / max(spent[1], 1) / 1e3, resident


class Run:
    """A `stopline run` with some cameras that show a pattern."""

    def __init__(self, stopline, onnx, count, folder):
        folder.mkdir()
        self.file = folder / "run/health.json"
        cameras = "".join(
            f'[[camera]]\nname = "c{n}"\nsource = "pattern:1280x720@10,nv12"\nfunctions = ["pedestrian"]\nguard = {{ timing_only = true }}\n'
            for n in range(count))
        config = folder / "stopline.toml"
        config.write_text(
            f'schema = 1\n[run]\ndirectory = "{folder / "run"}"\n{cameras}[[model]]\nname = "nano"\nonnx = "{onnx}"\nmanifest = "{MANIFEST}"\n'
            '[vehicle]\nsource = "constant"\nconstant = { speed = 0.0, accelerator = 0.0, steering_angle = 0.0 }\n', encoding="utf-8")
        self.said = folder / "said.txt"
        with self.said.open("w", encoding="utf-8") as said:
            self.daemon = subprocess.Popen([stopline, "run", "--config", config], stderr=said)

    def health(self):
        return json.loads(self.file.read_text(encoding="utf-8"))

    def resident(self):
        """MiB."""
        status = Path(f"/proc/{self.daemon.pid}/status").read_text(encoding="utf-8")
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024

    def wait_for(self, ready):
        """The health file, once `ready` says so of it."""
        for _ in range(600):
            time.sleep(0.1)
            if self.daemon.poll() is not None:
                break
            try:
                health = self.health()
            except (OSError, json.JSONDecodeError):
                continue
            if ready(health):
                return health
        sys.exit(f"scaling: {self.file} says nothing of decided frames within a minute; the daemon said:\n{self.said.read_text(encoding='utf-8')}")

    def end(self):
        self.daemon.terminate()
        self.daemon.wait(20)


def total(health):
    """Microseconds from picture to decision in all, and of how many frames."""
    stage = next(one for one in health["stages"] if one["stage"] == "total")
    return stage["sum_us"], stage["count"]


def tell(sides, cameras):
    """The two tables."""
    print("YOLOX-nano, NV12 pictures of the input's size, one core; ms of a frame (prepare, inference, decode)")
    print("| input | median | 99 % | per million input pixels |\n|---|---|---|---|")
    for side, median, p99 in sides:
        print(f"| {side} x {side} | {median:.1f} | {p99:.1f} | {median / (side * side / 1e6):.0f} |")
    print(f"\nthe same at 416 x 416 in `run`, four cameras at most in one, of 10 frames a second, {os.cpu_count()} cores")
    print("| cameras | decided a second by the slowest | mean ms from picture to decision | resident MiB |\n|---|---|---|---|")
    for count, rate, mean, resident in cameras:
        print(f"| {count} | {rate:.1f} | {mean:.0f} | {resident:.0f} |")


def drawn(sides, cameras):
    """Both as an SVG: time over the input's pixels, decided frames over cameras."""
    left = curve([(side * side / 1e6, median) for side, median, _ in sides], 0, "input, million pixels", "median ms of a frame")
    right = curve([(count, rate * count) for count, rate, _, _ in cameras], 380, "cameras", "decided frames a second, all cameras")
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 300" font-family="sans-serif" font-size="12">\n{left}{right}</svg>\n'


def curve(points, x0, across, up):
    """One plot, 360 wide."""
    most = [max(point[axis] for point in points) * 1.1 for axis in (0, 1)]
    place = lambda x, y: (x0 + 50 + 290 * x / most[0], 250 - 220 * y / most[1])
    line = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in points)
    dots = "".join('<circle cx="{:.1f}" cy="{:.1f}" r="3"/><text x="{:.1f}" y="{:.1f}">{:.3g}</text>\n'.format(*place(x, y), place(x, y)[0] - 8, place(x, y)[1] - 8, y)
                   for x, y in points)
    ticks = "".join('<text x="{:.1f}" y="266" text-anchor="middle">{:.3g}</text>'.format(place(x, 0)[0], x) for x, _ in points)
    return (f'<polyline points="{x0 + 50},30 {x0 + 50},250 {x0 + 340},250" fill="none" stroke="black"/>\n'
            f'<polyline points="{line}" fill="none" stroke="steelblue" stroke-width="2"/>\n{dots}{ticks}\n'
            f'<text x="{x0 + 195}" y="290" text-anchor="middle">{across}</text><text x="{x0 + 50}" y="18">{up}</text>\n')


if __name__ == "__main__":
    main()
