"""Quantisation of YOLOX-nano to eight bits by ONNX Runtime: static (QDQ), calibrated on pictures as the model is fed them; or
dynamic, where the model finds the scales while it runs.

    quantise.py MODEL TARGET PICTURE...
    quantise.py MODEL TARGET --dynamic | --dynamic-dense

Static: weights per channel, s8; activations u8. The three layers that tell boxes and scores, and what follows them, stay f32: joined
on one grid, a score would have the resolution of a box. Dynamic: as quantize_dynamic does by itself.
Dynamic-dense: so, but the picture's own convolution and those of each channel by itself stay f32; one scale for all weights of these
loses most of what they tell.
"""

import sys

import cv2
import numpy as np
import onnx
import onnx.version_converter
from onnxruntime import quantization
from onnxruntime.quantization import shape_inference


def fed(path, size=416):
    """A picture as tests/fixtures/manifests/yolox_nano_416.toml says."""
    picture = cv2.imread(path)
    ratio = min(size / picture.shape[0], size / picture.shape[1])
    small = cv2.resize(picture, (int(picture.shape[1] * ratio), int(picture.shape[0] * ratio)))
    canvas = np.full((size, size, 3), 114, np.uint8)
    canvas[: small.shape[0], : small.shape[1]] = small
    return canvas.transpose(2, 0, 1)[None].astype(np.float32)


class Pictures(quantization.CalibrationDataReader):
    """One after the other."""

    def __init__(self, paths):
        self.rest = iter(paths)

    def get_next(self):
        path = next(self.rest, None)
        return path and {"images": fed(path)}


def after_predictions(graph):
    """The nodes that nothing but unquantised nodes read, back to the convolutions before them."""
    readers = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    kept = []
    for node in reversed(graph.node):
        last = all(reader.name in kept and reader.op_type != "Conv" for name in node.output for reader in readers.get(name, []))
        if last:
            kept.append(node.name)
    return kept


def main():
    source, target, *pictures = sys.argv[1:]
    prepared = target + ".prepared"
    # Scales for each channel came with version 13 of the operators.
    onnx.save(onnx.version_converter.convert_version(onnx.load(source), 13), prepared)
    shape_inference.quant_pre_process(prepared, prepared)
    if pictures in (["--dynamic"], ["--dynamic-dense"]):
        nodes = [node for node in onnx.load(prepared).graph.node if node.op_type == "Conv"]
        thin = [node.name for node in nodes if any(one.name == "group" and one.i > 1 for one in node.attribute)]
        kept = [nodes[0].name, *thin] if pictures == ["--dynamic-dense"] else []
        quantization.quantize_dynamic(prepared, target, nodes_to_exclude=kept)
        made = onnx.load(target).graph.node
        print(len(made), "nodes,", sum(node.op_type == "ConvInteger" for node in made), "ConvInteger; left f32:", len(kept))
        return
    graph = onnx.load(prepared).graph
    quantization.quantize_static(
        prepared, target, Pictures(pictures), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
        activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
        nodes_to_exclude=after_predictions(graph))
    made = onnx.load(target).graph.node
    print(len(made), "nodes,", sum(node.op_type == "QuantizeLinear" for node in made), "QuantizeLinear; left f32:",
          ", ".join(after_predictions(graph)))


if __name__ == "__main__":
    main()
