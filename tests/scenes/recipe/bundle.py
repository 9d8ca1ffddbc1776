"""The manifest with golden vectors and training reference, checked by the runtime itself.

    python -m recipe.bundle MODEL.onnx --dataset DATASET --run RUN --out runtime/demo --stopline stopline

`golden/` gets pictures of the dataset's test part. What must be found there, and the digest of what the model was fed,
is what `stopline model selftest` says on this machine; a second self-test must then pass.
"""

import argparse
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

import cv2
import numpy as np

from .data import Dataset
from .model import LABELS

NAME = "stopline-small"
SCORE = 0.3
# At 0.3 a speed limit was taken for a stop sign in a bundled clip.
SIGN_SCORE = 0.45
# Of one person who is near, the network may give two boxes that overlap by less than a half.
NMS_IOU = 0.4
ROLES = {"stop_sign": ["stop_sign"], "pedestrian": ["person"], "fallen": ["person_down"]}
BINS = 10


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--stopline", required=True)
    parser.add_argument("--version", default="0.1.0")
    parser.add_argument("--size", default="416x256")
    parser.add_argument("--score", type=float, default=SCORE, help="least score of a detection")
    parser.add_argument("--nms-iou", type=float, default=NMS_IOU, help="overlap above which the weaker of two boxes is left out")
    parser.add_argument("--sign-score", type=float, default=SIGN_SCORE, help="the same for stop signs")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    model = given.model.read_bytes()
    (given.out / f"{NAME}.onnx").write_bytes(model)
    manifest = described(given, model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.toml"
        path.write_text(toml(manifest), encoding="utf-8")
        manifest["training"] = reference(given, given.out / f"{NAME}.onnx", path)
        pictures = golden_pictures(given, given.out / f"{NAME}.onnx", path)
    manifest["golden"] = [blank(name) for name in pictures]
    report = tested(given.stopline, manifest, model, pictures)
    manifest["golden"] = [vector(row) for row in report["golden"]]
    report = tested(given.stopline, manifest, model, pictures)
    if not report["passed"]:
        raise SystemExit(f"the self-test does not pass: {report['cause']}: {report['problem']}")
    (given.out / "model.toml").write_text(toml(manifest) + "\n", encoding="utf-8")
    print(given.out / "model.toml", "with", len(pictures), "golden vectors")


def described(given, model):
    """The manifest without what is measured."""
    width, height = (int(v) for v in given.size.split("x"))
    run = json.loads((given.run / "run.json").read_text(encoding="utf-8"))
    return {
        "schema": 1, "name": NAME, "version": given.version, "task": "detect", "decoder": "yolox", "labels": LABELS,
        "input": {"width": width, "height": height, "layout": "nchw", "dtype": "f32", "colour": "rgb", "scale": 1 / 255,
                  "mean": [0.0] * 3, "std": [1.0] * 3, "rectangle": False,
                  "resize": {"mode": "letterbox", "anchor": "top_left", "pad": 114, "filter": "bilinear", "rounding": "floor", "enlarge": True}},
        "thresholds": {"score": given.score, "nms_iou": given.nms_iou, "nms": "agnostic", "max_detections": 100,
                       "per_class": {"stop_sign": given.sign_score}},
        "roles": ROLES,
        "provenance": {"licence": "Apache-2.0 OR MIT", "source": "tests/scenes: rendered pictures, trained from nothing",
                       "sha256": hashlib.sha256(model).hexdigest(), "data_sha256": run["data_sha256"],
                       "note": "Trained on rendered scenes only. For demonstrations and tests; see CARD.md for what it cannot do."},
    }


def golden_pictures(given, model, manifest):
    """Names (`golden/…`) and bytes: per label the test picture in which it is found most surely, and one in which nothing lies, where there is one."""
    test = Dataset(given.dataset, "test")
    found = detected(given, model, manifest, test)
    best = lambda label: max(found, key=lambda name: max([d["score"] for d in found[name] if d["label"] == label], default=0.0))
    wanted = [best(label) for label in LABELS] + [image["file_name"] for image, boxes in zip(test.images, test.boxes) if not len(boxes)][:1]
    folder = given.out / "golden"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.jpg"):
        old.unlink()
    out = {}
    for name in dict.fromkeys(wanted):
        out[f"golden/{name}"] = (test.folder / name).read_bytes()
        (folder / name).write_bytes(out[f"golden/{name}"])
    return out


def detected(given, model, manifest, data):
    """File name → what the runtime finds in it."""
    paths = [str(data.folder / image["file_name"]) for image in data.images]
    command = [given.stopline, "detect", "--model", str(model), "--manifest", str(manifest), "--json", *paths]
    images = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)["images"]
    return {Path(path).name: rows for path, rows in images.items()}


def reference(given, model, manifest):
    """What the training pictures were like, and what the model finds in pictures like them (the validation part)."""
    train, val = Dataset(given.dataset, "train"), Dataset(given.dataset, "val")
    luma = [float(cv2.cvtColor(train.picture(k), cv2.COLOR_BGR2GRAY).mean()) for k in range(0, len(train), 4)]
    sizes = sorted({(image["width"], image["height"]) for image in train.images})
    answers = detected(given, model, manifest, val)
    found = [d for rows in answers.values() for d in rows]
    histogram = np.histogram([d["score"] for d in found], BINS, (0, 1))[0] / max(len(found), 1)
    return {"resolutions": [list(size) for size in sizes], "brightness": [round(float(np.mean(luma)), 2), round(float(np.std(luma)), 2)],
            "score_histogram": [round(float(v), 4) for v in histogram],
            "class_rates": {label: round(sum(d["label"] == label for d in found) / len(answers), 4) for label in LABELS}}


def blank(name):
    """A golden vector before anything is known of it."""
    return {"image": name, "input_sha256": "0" * 64, "detections": [], "tolerance": {"score": 0.05, "iou": 0.8}}


def vector(row):
    """A golden vector from a row of the self-test's report."""
    found = [{"label": d["label"], "score": round(d["score"], 4), "box": [round(v, 2) for v in d["box"]]} for d in row["detections"]]
    return {**blank(row["image"]), "input_sha256": row["input_sha256"], "detections": found}


def tested(stopline, manifest, model, pictures):
    """The self-test's report on a bundle of these parts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bundle.tar"
        path.write_bytes(archive({"manifest.json": json.dumps(manifest).encode(), "model.onnx": model, **dict(sorted(pictures.items()))}))
        out = subprocess.run([stopline, "model", "selftest", str(path), "--json", "--runs", "5"], capture_output=True, text=True)
    if not out.stdout.strip():
        raise SystemExit(f"the self-test said nothing: {out.stderr}")
    return json.loads(out.stdout)


def archive(files):
    """`bundle.tar` as the depot writes it: plain files, every field but name, size and checksum fixed."""
    out = b""
    for name, data in files.items():
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o644
        header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
        header[329:345] = bytes(16)
        header[148:156] = b" " * 8
        header[148:156] = b"%07o\0" % sum(header)
        out += bytes(header) + data + bytes(-len(data) % 512)
    return out + bytes(1024)


def toml(value, path=()):
    """TOML of a manifest: tables, lists of tables, plain values."""
    plain = {k: v for k, v in value.items() if not isinstance(v, dict) and not is_tables(v)}
    lines = [f"{k} = {text(v)}" for k, v in plain.items()]
    for key, inner in value.items():
        name = ".".join([*path, key])
        if isinstance(inner, dict):
            lines += ["", f"[{name}]", toml(inner, (*path, key))]
        elif is_tables(inner):
            for row in inner:
                lines += ["", f"[[{name}]]", toml(row, (*path, key))]
    return "\n".join(lines)


def is_tables(value):
    """Whether it is a list of tables."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def text(value):
    """One value as TOML."""
    if isinstance(value, list):
        return "[" + ", ".join(text(v) for v in value) + "]"
    return json.dumps(value)


if __name__ == "__main__":
    main()
