"""Events on rendered pixels: clips that were never looked at, the product on each, and the tables.

    python -m recipe.tables OUT --seed 700000 --count 40 --model MODEL.onnx --manifest model.toml --stopline stopline

Renders `--count` clips of each kind (`scenes.clips`), replays each through the daemon's own pipeline with the functions of
its kind, and judges the decision records by `stopline eval --events`. Prints precision, recall, false events per hour and
time to decision, with 95 % intervals (Wilson for shares, Poisson's exact one for rates). A clip that is there is not
rendered again, and one that was judged with this model is not judged again: a run goes on where it was broken off.

The full count of falls and of what is none is `--kinds fall=200 no_fall=500 stop_sign=200 pedestrian=200 clutter=200`.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from .real import wilson

FUNCTION = {"stop_sign": "stop_sign", "pedestrian": "pedestrian", "fall": "fall", "no_fall": "fall", "clutter": "stop_sign,pedestrian"}

# Speeds at which `scenes.clips` draws approaches, in three bands, km/h.
BANDS = [(15, 22), (22, 29), (29, 37)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=700000, help="of the first clip; seeds below 700000 were used while the product was tuned")
    parser.add_argument("--count", type=int, default=10, help="clips of each kind")
    parser.add_argument("--kinds", nargs="+", default=list(FUNCTION), metavar="KIND[=COUNT]")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--stopline", required=True)
    parser.add_argument("--size", default="640x360", help="of the clips")
    parser.add_argument("--keep-clips", action="store_true", help="else a clip is removed once it is judged")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(given.model.read_bytes() + given.manifest.read_bytes()).hexdigest()
    rows = []
    for kind, count in (part.split("=") if "=" in part else (part, given.count) for part in given.kinds):
        for seed in range(given.seed, given.seed + int(count)):
            rows.append((kind, seed, judged(given, kind, seed, digest)))
            print(f"{kind}_{seed}: {line(rows[-1][2])}", flush=True)
    table = {kind: counted([row for k, _, row in rows if k == kind], by_speed=kind in ("stop_sign", "pedestrian")) for kind in dict.fromkeys(k for k, _, _ in rows)}
    table["all"] = counted([row for _, _, row in rows])
    printed(table)
    if given.json:
        given.json.write_text(json.dumps({"model_and_manifest_sha256": digest, "seed": given.seed, "clips": given.size, "table": table}, indent=1), encoding="utf-8")


def judged(given, kind, seed, digest):
    """One clip: rendered, replayed, judged; from the notes where that was done before."""
    notes, name = given.out / "judged.jsonl", f"{kind}_{seed}"
    for old in notes.read_text(encoding="utf-8").splitlines() if notes.exists() else ():
        row = json.loads(old)
        if (row["clip"], row["model"]) == (name, digest):
            return row
    clip, truth = given.out / f"{name}.mp4", given.out / f"{name}.truth.json"
    if not (clip.exists() and truth.exists()):
        subprocess.run([sys.executable, "-m", "scenes.clips", str(given.out.resolve()), "--kind", kind, "--seed", str(seed), "--count", "1", "--size", given.size],
                       check=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).parent.parent)
    records = given.out / f"{name}.jsonl"
    replayed(given, kind, clip, records)
    out = subprocess.run([given.stopline, "eval", str(records), "--events", str(truth), "--json"], check=True, capture_output=True, text=True)
    row = {"clip": name, "model": digest, **told(json.loads(out.stdout), truth, clip.with_suffix("").with_suffix(".track.csv"))}
    with open(notes, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    for path in () if given.keep_clips else (clip, records):
        path.unlink()
    return row


def replayed(given, kind, clip, records):
    """The daemon's pipeline over the clip, on virtual time."""
    command = [given.stopline, "replay", str(clip), "--model", str(given.model), "--manifest", str(given.manifest), "--records", str(records)]
    for function in FUNCTION[kind].split(","):
        command += ["--functions", function]
    track = clip.with_name(f"{clip.stem}.track.csv")
    if track.exists():
        command += ["--signals", str(track), "--calibration", str(given.out / "front.cal.toml")]
    subprocess.run(command, check=True, capture_output=True)


def told(verdict, truth, track):
    """What is kept of a verdict."""
    wanted = json.loads(truth.read_text(encoding="utf-8"))["events"]
    found = [event for event in verdict["events"] if event["report"]]
    speed = None
    if track.exists():
        speed = float(track.read_text(encoding="utf-8").splitlines()[3].split(",")[1]) * 3.6
    return {"hours": verdict["hours"], "events": len(wanted), "found": len(found), "wrong": len(verdict["false_reports"]), "repeated": len(verdict["repeated"]),
            "wrong_kinds": [report["kind"] for report in verdict["false_reports"]], "kmh": speed,
            "time_to_decision_s": [event["time_to_decision_s"] for event in found]}


def line(row):
    """One clip in words."""
    times = ", ".join(f"{t:.2f} s" for t in row["time_to_decision_s"])
    return f"{row['found']} of {row['events']} found, {row['wrong']} wrong{', ' + ' '.join(row['wrong_kinds']) if row['wrong'] else ''}{'; ' + times if times else ''}"


def counted(rows, by_speed=False):
    """The figures of some clips."""
    total = lambda key: sum(row[key] for row in rows)
    found, events, wrong, hours = total("found"), total("events"), total("wrong"), total("hours")
    times = sorted(t for row in rows for t in row["time_to_decision_s"])
    out = {"clips": len(rows), "events": events, "found": found, "wrong": wrong, "repeated": total("repeated"), "hours": round(hours, 4),
           "recall": wilson(found, events), "precision": wilson(found, found + wrong), "wrong_per_hour": rate(wrong, hours),
           "time_to_decision_s": {"median": round(float(np.median(times)), 2), "p90": round(float(np.quantile(times, 0.9)), 2), "longest": round(times[-1], 2)} if times else None}
    if by_speed:
        bands = {f"{low} to {high} km/h": [row for row in rows if row["kmh"] is not None and low <= row["kmh"] < high] for low, high in BANDS}
        out["by_speed"] = {name: {"events": sum(r["events"] for r in own), "found": sum(r["found"] for r in own), "wrong": sum(r["wrong"] for r in own)} for name, own in bands.items()}
    return out


def rate(count, hours):
    """Events per hour with the exact 95 % interval of a Poisson count (Garwood, 1936)."""
    if hours <= 0:
        return {"rate": None, "low": None, "high": None}
    low = poisson(count, 0.975) if count else 0.0
    return {"rate": round(count / hours, 2), "low": round(low / hours, 2), "high": round(poisson(count + 1, 0.025) / hours, 2)}


def poisson(count, share):
    """The mean at which fewer than `count` events come with probability `share`; by bisection."""
    low, high = 0.0, 10.0 * (count + 10)
    for _ in range(100):
        middle = (low + high) / 2
        term = below = np.exp(-middle) if count else 0.0
        for k in range(1, count):
            term = term * middle / k
            below += term
        low, high = (middle, high) if below > share else (low, middle)
    return low


def printed(table):
    """For people."""
    share = lambda s: "–" if s["recall"] is None else f"{s['recall']:.3f} ({s['low']:.3f} to {s['high']:.3f})"
    print(f"\n{'kind':12}{'clips':>6}{'events':>8}{'found':>7}{'wrong':>7}  {'recall (95 %)':26}{'precision (95 %)':26}{'wrong per hour (95 %)':28}time to decision: median, p90, longest")
    for kind, row in table.items():
        r, t = row["wrong_per_hour"], row["time_to_decision_s"]
        print(f"{kind:12}{row['clips']:>6}{row['events']:>8}{row['found']:>7}{row['wrong']:>7}  {share(row['recall']):26}{share(row['precision']):26}"
              f"{r['rate']} ({r['low']} to {r['high']})".ljust(90 + 28) + (f"  {t['median']}, {t['p90']}, {t['longest']} s" if t else "  –"))
    for kind, row in table.items():
        for name, own in row.get("by_speed", {}).items():
            print(f"{kind}, {name}: {own['found']} of {own['events']} found, {own['wrong']} wrong")


if __name__ == "__main__":
    main()
