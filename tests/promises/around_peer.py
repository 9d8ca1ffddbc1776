"""OpenCV's way around the model: raw 720p pictures to the input tensor, outputs to boxes, JPEG to pixels.

    python around_peer.py MODEL.onnx MANIFEST.toml YUYV NV12 JPEG WIDTH HEIGHT --core N --rounds N

Prints JSON: median processor time in microseconds of prepare and decode per format and of a JPEG, and how many objects were
found. The pipeline is the one of peer_pipeline/peer.py.
"""
import argparse
import json
import os
import sys
import time
import tomllib
from pathlib import Path

parser = argparse.ArgumentParser()
for name in ("model", "manifest", "yuyv", "nv12", "jpeg"):
    parser.add_argument(name)
for name in ("width", "height"):
    parser.add_argument(name, type=int)
for name in ("core", "rounds"):
    parser.add_argument("--" + name, type=int, required=True)
args = parser.parse_args()
os.sched_setaffinity(0, {args.core})
sys.path.insert(0, str(Path(__file__).parent / "peer_pipeline"))
import cv2
import numpy as np
import onnxruntime as ort
import peer

peer.cv2, peer.np, peer.ort = cv2, np, ort
cv2.setNumThreads(1)
with open(args.manifest, "rb") as file:
    pipeline = peer.Pipeline(args.model, tomllib.load(file))


def median(work):
    times = []
    for number in range(args.rounds + 5):
        begun = time.thread_time_ns()
        work()
        if number >= 5:
            times.append((time.thread_time_ns() - begun) / 1e3)
    return float(np.median(times))


result = {}
for name, path, shape, code in (
    ("yuyv", args.yuyv, (args.height, args.width, 2), cv2.COLOR_YUV2BGR_YUYV),
    ("nv12", args.nv12, (args.height * 3 // 2, args.width), cv2.COLOR_YUV2BGR_NV12),
):
    raw = np.fromfile(path, np.uint8).reshape(shape)
    prepare = lambda: pipeline.prepare(cv2.cvtColor(raw, code))
    tensor, ratio = prepare()
    out = pipeline.infer(tensor)
    picture = (args.height, args.width, 3)
    result[name] = {"prepare": median(prepare), "decode": median(lambda: pipeline.decode(out, ratio, picture)),
                    "found": len(pipeline.decode(out, ratio, picture))}
jpeg = np.fromfile(args.jpeg, np.uint8)
result["jpeg"] = median(lambda: cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
print(json.dumps(result))
