"""What is kept of a run: parameters, the data's digest, versions, metrics; as JSON and as a folder that MLflow opens."""

import hashlib
import importlib.metadata
import json
import platform
import time
import uuid
from pathlib import Path

PACKAGES = ["torch", "numpy", "opencv-python", "opencv-python-headless", "onnx", "onnxruntime", "panda3d", "pillow"]


class Record:
    """One run's record. `mlruns/` follows MLflow's file store: one file per parameter, one line per value of a metric."""

    def __init__(self, out, dataset, parameters):
        self.out, self.begin = Path(out), int(time.time() * 1000)
        self.out.mkdir(parents=True, exist_ok=True)
        self.whole = {"parameters": {name: str(value) for name, value in parameters.items()}, "data_sha256": digest(dataset),
                      "versions": versions(), "metrics": []}
        self.id = uuid.uuid4().hex
        self.store = self.out / "mlruns" / "1" / self.id
        for name in ("params", "metrics", "tags", "artifacts"):
            (self.store / name).mkdir(parents=True)
        root = self.out / "mlruns"
        (root / "1" / "meta.yaml").write_text(
            f"artifact_location: {root.resolve() / '1'}\ncreation_time: {self.begin}\nexperiment_id: '1'\nlast_update_time: {self.begin}\n"
            "lifecycle_stage: active\nname: stopline-small\n", encoding="utf-8")
        for name, value in {**self.whole["parameters"], "data_sha256": self.whole["data_sha256"], **self.whole["versions"]}.items():
            (self.store / "params" / name).write_text(str(value)[:500], encoding="utf-8")
        (self.store / "tags" / "mlflow.runName").write_text(self.out.name, encoding="utf-8")
        self._meta(1, None)
        self._json()

    def metrics(self, row):
        """Adds the metrics of one round."""
        self.whole["metrics"].append(row)
        for name, value in row.items():
            with open(self.store / "metrics" / name, "a", encoding="utf-8") as file:
                file.write(f"{int(time.time() * 1000)} {value} {row['epoch']}\n")
        self._json()

    def finish(self, rows):
        """Ends the run, with its curves."""
        self._meta(3, int(time.time() * 1000))
        if rows:
            curves(rows, self.out / "curves.png")
            (self.store / "artifacts" / "curves.png").write_bytes((self.out / "curves.png").read_bytes())

    def _meta(self, status, end):
        (self.store / "meta.yaml").write_text(
            f"artifact_uri: {self.store.resolve() / 'artifacts'}\nend_time: {'null' if end is None else end}\nentry_point_name: ''\nexperiment_id: '1'\n"
            f"lifecycle_stage: active\nrun_id: {self.id}\nrun_name: {self.out.name}\nrun_uuid: {self.id}\nsource_name: recipe.train\nsource_type: 4\n"
            f"source_version: ''\nstart_time: {self.begin}\nstatus: {status}\ntags: []\nuser_id: ''\n", encoding="utf-8")

    def _json(self):
        (self.out / "run.json").write_text(json.dumps(self.whole, indent=1), encoding="utf-8")


def digest(dataset):
    """SHA-256 over the labels of all parts and the names and bytes of all pictures."""
    whole = hashlib.sha256()
    for path in [*sorted(Path(dataset).glob("*.json")), *sorted((Path(dataset) / "images").iterdir())]:
        whole.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def versions():
    """Versions of what took part."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def curves(rows, path):
    """A picture of losses and precisions over the rounds."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4))
    epochs = [row["epoch"] for row in rows]
    for name in ("box", "objectness", "class"):
        left.plot(epochs, [row.get(name) for row in rows], label=name)
    for name in [name for name in rows[0] if name.startswith("ap50") or name == "map50"]:
        right.plot(epochs, [row[name] for row in rows], label=name)
    left.set_title("loss"), right.set_title("validation, AP50"), right.set_ylim(0, 1)
    for axis in (left, right):
        axis.set_xlabel("epoch"), axis.legend(), axis.grid(True)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
