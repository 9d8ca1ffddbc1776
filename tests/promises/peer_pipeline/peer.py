"""The peer: the same work as `stopline bench` and `stopline detect`, by OpenCV, NumPy and ONNX Runtime on one thread.

    python peer.py MODEL.onnx MANIFEST.toml CLIP --frames N --warm-up N --core N [--detections N,N,...]

Prints JSON: stage times in microseconds of every measured frame (capture, prepare, infer, decode, total), load time and
peak memory, and the detections of the frames asked for. Written as such pipelines are: vectorised NumPy, cv2.resize,
cv2.dnn.NMSBoxesBatched, nothing per box in Python but the result.
"""
import argparse
import json
import os
import resource
import time
import tomllib

START = time.perf_counter()


class Pipeline:
    def __init__(self, model, manifest):
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.size = manifest["input"]["width"]
        self.pad = manifest["input"]["resize"]["pad"]
        self.labels = manifest["labels"]
        self.score, self.iou = manifest["thresholds"]["score"], manifest["thresholds"]["nms_iou"]
        self.canvas = np.full((self.size, self.size, 3), self.pad, np.uint8)
        cells, strides = [], []
        for stride in (8, 16, 32):
            y, x = np.mgrid[0:self.size // stride, 0:self.size // stride]
            cells.append(np.stack([x, y], 2).reshape(-1, 2))
            strides.append(np.full((len(cells[-1]), 1), stride))
        self.cells = np.concatenate(cells).astype(np.float32)
        self.strides = np.concatenate(strides).astype(np.float32)

    def prepare(self, image):
        height, width = image.shape[:2]
        ratio = min(self.size / height, self.size / width)
        new_w, new_h = int(width * ratio), int(height * ratio)
        self.canvas[:] = self.pad
        self.canvas[:new_h, :new_w] = cv2.resize(image, (new_w, new_h), interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(self.canvas.transpose(2, 0, 1), dtype=np.float32)[None], ratio

    def infer(self, tensor):
        return self.session.run(None, {self.input: tensor})[0][0]

    def decode(self, out, ratio, shape):
        scores = out[:, 4:5] * out[:, 5:]
        classes = scores.argmax(1)
        best = scores[np.arange(len(scores)), classes]
        kept = best >= self.score
        out, classes, best = out[kept], classes[kept], best[kept]
        if not len(out):
            return []
        centre = (out[:, :2] + self.cells[kept]) * self.strides[kept]
        half = np.exp(out[:, 2:4]) * self.strides[kept] / 2
        height, width = shape[:2]
        boxes = (np.concatenate([centre - half, centre + half], 1) / ratio).clip(0, [width, height, width, height])
        sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
        order = cv2.dnn.NMSBoxesBatched(sides, best, classes, self.score, self.iou)
        return [{"class": int(classes[i]), "label": self.labels[classes[i]], "score": float(best[i]),
                 "box": [float(side) for side in boxes[i]]} for i in order]


def frames(path):
    while True:
        clip, any_frame = cv2.VideoCapture(path), False
        while True:
            begun = time.perf_counter()
            good, image = clip.read()
            if not good:
                break
            any_frame = True
            yield image, time.perf_counter() - begun
        if not any_frame:
            raise SystemExit(f"{path}: no frame that OpenCV can read")


def measure(pipeline, path, warm_up, count):
    times = {stage: [] for stage in ("capture", "prepare", "infer", "decode", "total")}
    found = 0
    for number, (image, capture) in zip(range(warm_up + count), frames(path)):
        a = time.perf_counter()
        tensor, ratio = pipeline.prepare(image)
        b = time.perf_counter()
        out = pipeline.infer(tensor)
        c = time.perf_counter()
        detections = pipeline.decode(out, ratio, image.shape)
        d = time.perf_counter()
        if number >= warm_up:
            found += len(detections)
            for stage, value in (("capture", capture), ("prepare", b - a), ("infer", c - b), ("decode", d - c), ("total", d - a)):
                times[stage].append(value * 1e6)
    return times, found


def look(pipeline, path, wanted):
    found = {}
    for number, (image, _) in enumerate(frames(path)):
        if number > max(wanted, default=-1):
            return found
        if number in wanted:
            tensor, ratio = pipeline.prepare(image)
            found[number] = pipeline.decode(pipeline.infer(tensor), ratio, image.shape)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("model", "manifest", "clip"):
        parser.add_argument(name)
    for name in ("frames", "warm-up", "core"):
        parser.add_argument("--" + name, type=int, required=True)
    parser.add_argument("--detections", default="")
    args = parser.parse_args()
    os.sched_setaffinity(0, {args.core})
    # After pinning, and counted as loading: a program that sees has to load its libraries too.
    import cv2
    import numpy as np
    import onnxruntime as ort
    cv2.setNumThreads(1)
    with open(args.manifest, "rb") as file:
        pipeline = Pipeline(args.model, tomllib.load(file))
    load = time.perf_counter() - START
    times, found = measure(pipeline, args.clip, args.warm_up, args.frames)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    wanted = {int(number) for number in args.detections.split(",") if number}
    figures = {stage: {"min": min(values), "median": float(np.median(values)), "p99": float(np.percentile(values, 99))}
               for stage, values in times.items()}
    print(json.dumps({"stages_us": figures, "detections": found, "load_us": load * 1e6, "peak_memory_bytes": peak,
                      "images": look(pipeline, args.clip, wanted) if wanted else {}}))
