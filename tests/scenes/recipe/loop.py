"""The loop: a model that is weak at night drives by night, and what it captures makes the next one better.

    python -m recipe.loop OUT --programs DIR [--short] [--data DATASET]

DIR holds `stopline`, `stopline-fleet` and `stopline-agent`; DATASET is one of `scenes.stills`, and is rendered where none
is given. What happens:

1. Version 1 is trained on the dataset without a single picture of the night.
2. It drives by night (`scenes.drives`) through the daemon, which keeps hard frames: redacted, sealed for the operator.
3. The agent brings them to the server; the operator opens and exports them, labels them (here the renderer's truth does),
   merges the labels, exports them for training.
4. Version 2 is version 1, fine-tuned on them and on three times as many day pictures; a control is fine-tuned on day pictures alone,
   for as long.
5. Both are measured on night pictures that nobody was trained on. Version 2 must beat version 1 by `--margin` in AP50 of
   stop signs, and the control too.
6. Version 2 is packed with its golden vectors, signed, published, rolled out, and fetched by the car's agent, whose bundle
   must pass the self-test on the car.

Persons are redacted in captured pictures, so they are neither wanted nor wrong there: what is learnt is signs at night.
A training or a drive that is there is not made again: delete its folder to repeat it. The rest is done anew each time.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

from . import fleet, split
from .model import LABELS

# Streets of the drive and frames of each; rounds of 640 pictures for version 1 and for version 2; the models' input.
SHORT = {"looks": 80, "frames": 2, "pictures": 500, "first": 16, "second": 8, "size": "320x192"}
WHOLE = {"looks": 400, "frames": 4, "pictures": 3000, "first": 200, "second": 60, "size": "416x256"}
# The drive's speed, m/s (`scenes.drives`).
PACE = 3.0
LABEL = "stop_sign"
# Day pictures beside one that was captured: fewer, and version 2 learns the few by heart; many more, and it hardly sees them.
DAYS = 3


def main():
    given = arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    given.data = given.data or rendered(given, given.out / "data")
    day, night = parted(given, given.out / "day"), given.out / "night"
    first = trained(given, given.out / "v1", day, given.first)
    bundled(given, first, day, "1.0.0")
    shutil.rmtree(given.out / "desk", ignore_errors=True)
    desk = fleet.Desk(given.out / "desk", given.programs)
    try:
        car = fleet.Car(desk)
        labelled, counts = collected(given, desk, car, first)
        mixed = joined(given, labelled, day)
        second = trained(given, given.out / "v2", mixed, given.second, first)
        bundled(given, second, day, "2.0.0")
        control = trained(given, given.out / "control", day, given.second, first)
        scores = {name: measured(given, run, night) for name, run in (("version 1", first), ("control", control), ("version 2", second))}
        told(given, counts, scores)
        served(given, desk, car, second)
    finally:
        desk.close()
    gains = [scores["version 2"][LABEL] - scores[name][LABEL] for name in ("version 1", "control")]
    raise SystemExit(0 if min(gains) >= given.margin else 1)


def arguments():
    """The command line; `--short` and the whole differ in counts only."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--pictures", type=int, help=f"how many to render of the day, where no dataset is given; whole: {WHOLE['pictures']}, short: {SHORT['pictures']}")
    parser.add_argument("--programs", type=Path, required=True)
    parser.add_argument("--short", action="store_true", help="some minutes of one core, and weaker models")
    parser.add_argument("--margin", type=float, default=0.05, help="AP50 of stop signs by night that version 2 must win")
    parser.add_argument("--seed", type=int, default=32, help="of the drive")
    for name, kind in (("looks", int), ("frames", int), ("first", int), ("second", int), ("size", str)):
        parser.add_argument(f"--{name}", type=kind, help=f"whole: {WHOLE[name]}, short: {SHORT[name]}")
    given = parser.parse_args()
    for name, value in (SHORT if given.short else WHOLE).items():
        if getattr(given, name) is None:
            setattr(given, name, value)
    return given


def python(*words):
    """A command of this folder, as a person would give it."""
    subprocess.run([sys.executable, *map(str, words)], check=True, cwd=Path(__file__).parent.parent)


def rendered(given, data):
    """Streets by day to train on, and others by night to measure on: other seeds, other numbers, no scene in common."""
    if not (data / "test.json").exists():
        for seed, first, night, parts in ((31, 0, 0, split.PARTS), (33, 100000, 1, ("test",))):
            python("-m", "scenes.stills", data.resolve(), "--seed", seed, "--first", first, "--count", given.pictures, "--indoors", 0, "--night", night, "--parts", *parts)
    return data


def parted(given, day):
    """The dataset without the night as a dataset of its own; and beside it the night of what is never trained on."""
    if (day / "train.json").exists():
        return day
    told = {row["name"]: row for row in map(json.loads, (given.data / "truth.jsonl").read_text(encoding="utf-8").splitlines())}
    day.mkdir(parents=True, exist_ok=True)
    (day / "images").symlink_to((given.data / "images").resolve())
    dark = None
    for part in split.PARTS:
        whole = json.loads((given.data / f"{part}.json").read_text(encoding="utf-8"))
        is_night = {image["id"]: told[image["file_name"]]["night"] for image in whole["images"]}
        (day / f"{part}.json").write_text(json.dumps(only(whole, lambda number: not is_night[number])), encoding="utf-8")
        if part != "train":
            own = only(whole, lambda number: is_night[number])
            dark = own if dark is None else {**own, "images": dark["images"] + own["images"], "annotations": dark["annotations"] + own["annotations"]}
    for number, box in enumerate(dark["annotations"]):
        box["id"] = number + 1
    night = given.out / "night"
    night.mkdir(exist_ok=True)
    (night / "test.json").write_text(json.dumps(dark), encoding="utf-8")
    return day


def only(whole, chosen):
    """A COCO file's pictures that are chosen by their number, with their boxes."""
    return {**whole, "images": [image for image in whole["images"] if chosen(image["id"])],
            "annotations": [box for box in whole["annotations"] if chosen(box["image_id"])]}


def trained(given, run, data, rounds, start=None):
    """A run of the recipe; its weights are the last ones, so that no validation picture chooses. In rounds, not minutes: it comes out the same again."""
    if not (run / "model.onnx").exists():
        more = ["--from", start / "last.pt", "--rate", "0.001", "--small-until", "0"] if start else ["--rate", "0.003"]
        python("-m", "recipe.train", data.resolve(), "--out", run.resolve(), "--epochs", rounds, "--size", given.size, "--per-round", 640,
               "--workers", 0, "--val-most", 40, "--decoded", (given.out / "decoded").resolve(), *[v.resolve() if isinstance(v, Path) else v for v in more])
        python("-m", "recipe.export", (run / "last.pt").resolve(), (run / "model.onnx").resolve())
    return run


def bundled(given, run, data, version):
    """Manifest and golden vectors, checked by the runtime's self-test. Thresholds are low: weak models shall see something."""
    if not (run / "bundle" / "model.toml").exists():
        python("-m", "recipe.bundle", (run / "model.onnx").resolve(), "--dataset", data.resolve(), "--run", run.resolve(), "--out", (run / "bundle").resolve(),
               "--stopline", given.programs.resolve() / "stopline", "--version", version, "--size", given.size, "--score", 0.15, "--sign-score", 0.15)


def collected(given, desk, car, first):
    """Steps 2 and 3. The folder of labelled pictures, and how many records went which way."""
    drive = given.out / "drive"
    if not (drive / "drive.mp4").exists():
        python("-m", "scenes.drives", drive.resolve(), "--seed", given.seed, "--looks", given.looks, "--frames", given.frames, "--night")
    recipient = desk.json("key capture capture.key")["recipient"]
    ledger = car.drive(drive / "drive.mp4", drive / "front.cal.toml", PACE, first / "bundle" / "stopline-small.onnx", first / "bundle" / "model.toml",
                       recipient, within=0.6, rate=0.6)
    counts = {event: len(digests) for event, digests in ledger.items()}
    sealed(car.board / "spool")
    car.enrolled(desk.serve())
    car.upload()
    desk.fleet("dataset export fleet/store --identity capture.key --output export")
    boxes, new = labels(desk.path("export"), drive / "frames.jsonl")
    for path in sorted(desk.path("export/labelled").glob("*.json")):
        desk.fleet(f"dataset merge export/labelled/{path.name} --export export --by renderer {new[path.name]}")
    desk.fleet("dataset export fleet/store --identity capture.key --for training --output labelled")
    return desk.path("labelled"), {**counts, "delivered": len(car.ledger().get("delivered", ())), "boxes": boxes}


def sealed(spool):
    """Nothing in the spool can be read without the operator's key."""
    kept = [path for path in spool.rglob("*.age")]
    if not kept:
        raise SystemExit(f"{spool}: nothing was captured")
    for path in kept:
        data = path.read_bytes()
        if not data.startswith(b"age-encryption.org/v1") or b"JFIF" in data:
            raise SystemExit(f"{path} is not sealed")


def labels(export, frames):
    """The labeller: the renderer's truth of each exported picture, as COCO beside the export.

    Returns how many boxes there are, and for each file the options that tell of classes which no model saw in it.
    """
    truth = {row["frame"]: row for row in map(json.loads, frames.read_text(encoding="utf-8").splitlines())}
    (export / "labelled").mkdir()
    count, new = 0, {}
    for path in sorted((export / "annotations").glob("instances_*.json")):
        whole = json.loads(path.read_text(encoding="utf-8"))
        numbers = {c["name"]: c["id"] for c in whole["categories"]}
        new[path.name] = " ".join(f"--new-label {label}" for label in LABELS if label not in numbers)
        for label in LABELS:
            numbers.setdefault(label, max(numbers.values(), default=0) + 1)
        boxes = []
        for image in whole["images"]:
            row = truth[image["stopline"]["frame"]]
            scale = image["width"] / row["size"][0]
            for thing in row["objects"]:
                if thing["label"] == LABEL and not thing["wanted"]:
                    continue
                x0, y0, x1, y1 = (v * scale for v in thing["box"])
                boxes.append({"id": len(boxes) + 1, "image_id": image["id"], "category_id": numbers[thing["label"]], "iscrowd": 0,
                              "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)})
        whole = {**whole, "annotations": boxes, "categories": [{"id": number, "name": name} for name, number in numbers.items()]}
        (export / "labelled" / path.name).write_text(json.dumps(whole), encoding="utf-8")
        count += len(boxes)
    return count, new


def joined(given, labelled, day):
    """What was collected, and as many day pictures, as one dataset. Who is redacted is neither wanted nor wrong."""
    mixed = given.out / "mixed"
    shutil.rmtree(mixed, ignore_errors=True)
    files = sorted((labelled / "annotations").glob("instances_*.json"))
    pictures = 0
    for path in files:
        whole = json.loads(path.read_text(encoding="utf-8"))
        names = {c["id"]: c["name"] for c in whole["categories"]}
        for box in whole["annotations"]:
            box["iscrowd"] = int(names[box["category_id"]] != LABEL)
        pictures += len(whole["images"])
        (labelled / path.name).write_text(json.dumps(whole), encoding="utf-8")
    images = next(path.parent for path in labelled.rglob("*.jpg"))
    python("-m", "recipe.split", *[(labelled / path.name).resolve() for path in files], "--images", images.resolve(), "--out", mixed.resolve(),
           "--add", day.resolve(), "--add-most", DAYS * pictures)
    return mixed


def measured(given, run, night):
    """AP50 per label on the night pictures, by `stopline eval`."""
    out = subprocess.run([str(given.programs / "stopline"), "eval", str(night / "test.json"), "--images", str(given.data / "images"), "--json",
                          "--model", str(run / "model.onnx"), "--manifest", str(manifest_of(run))], capture_output=True, text=True)
    if out.returncode:
        raise SystemExit(f"stopline eval ended with {out.returncode}: {out.stderr}")
    found = json.loads(out.stdout)
    return {row["name"]: row["ap50"] for row in found["categories"]}


def manifest_of(run):
    """The manifest for the weights of a run: its own, or version 1's without what is only true of version 1's file."""
    own = run / "bundle" / "model.toml"
    if own.exists():
        return own
    text = (run.parent / "v1" / "bundle" / "model.toml").read_text(encoding="utf-8").split("[[golden]]")[0]
    path = run / "model.toml"
    path.write_text("\n".join(line for line in text.splitlines() if not line.startswith("sha256")), encoding="utf-8")
    return path


def told(given, counts, scores):
    """Prints everything, and keeps it in `loop.json`."""
    print(", ".join(f"{event} {count}" for event, count in sorted(counts.items())))
    print(f"{'AP50 by night':16}" + "".join(f"{label:>14}" for label in LABELS))
    for name, row in scores.items():
        print(f"{name:16}" + "".join(f"{row.get(label) if row.get(label) is not None else float('nan'):>14.3f}" for label in LABELS))
    options = {name: str(value) for name, value in vars(given).items()}
    (given.out / "loop.json").write_text(json.dumps({"options": options, "records": counts, "ap50_night": scores}, indent=1), encoding="utf-8")


def served(given, desk, car, second):
    """Step 6. The car's bundle must be byte for byte what was packed, and pass the self-test there."""
    packed = json.loads(desk.fleet(f"pack {(second / 'bundle' / 'stopline-small.onnx').resolve()} {(second / 'bundle' / 'model.toml').resolve()} "
                                   "--output v2.slb --hardware board --json"))
    desk.signed("publish repository --online online")
    desk.fleet("rollout start stopline-small --online online --stages 10000 --id night")
    bundle = car.fetched(packed["unpacked"]["sha256"])
    if hashlib.sha256(bundle.read_bytes()).hexdigest() != packed["unpacked"]["sha256"]:
        raise SystemExit(f"{bundle} is not what was packed")
    report = subprocess.run([str(given.programs / "stopline"), "model", "selftest", str(bundle), "--json", "--runs", "3"], capture_output=True, text=True)
    if report.returncode or not json.loads(report.stdout)["passed"]:
        raise SystemExit(f"the bundle on the car does not pass: {report.stdout}{report.stderr}")
    print(f"version 2 is on the car ({packed['packed']['length']} bytes packed, {packed['unpacked']['sha256'][:16]}…) and passes its self-test")


if __name__ == "__main__":
    main()
