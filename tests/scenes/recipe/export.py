"""Writes the network as ONNX: f32, fixed shape, normalisation folded in; and its eight-bit twin.

    python -m recipe.export RUN/best.pt MODEL.onnx [--int8 MODEL-int8.onnx --pictures DATASET]
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from .model import LABELS, Net, convolutions, run

OPSET = 13


class Writer:
    """Writes ONNX nodes where `Net` computes."""

    def __init__(self, weights, classes, widths):
        self.table = convolutions(classes, widths)
        self.nodes, self.constants = [], []
        for name, (weight, bias) in weights.items():
            self.constants += [numpy_helper.from_array(weight, f"{name}.w"), numpy_helper.from_array(bias, f"{name}.b")]
        self.constants.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice"))

    def node(self, kind, inputs, **attributes):
        """Adds one node; its output has the node's name."""
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def conv(self, name, x):
        """Convolution, and ReLU where it is activated."""
        _, _, kernel, stride, active = self.table[name]
        pad = kernel // 2
        x = self.node("Conv", [x, f"{name}.w", f"{name}.b"], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)
        return self.node("Relu", [x]) if active else x

    def add(self, a, b):
        """Sum."""
        return self.node("Add", [a, b])

    def twice(self, x):
        """Nearest neighbour, twice the size."""
        return self.node("Resize", [x, "", "twice"], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def graph(net, width, height, classes=len(LABELS)):
    """The ONNX model of `net` for one picture of `width` × `height`."""
    writer = Writer(net.folded(), classes, net.widths)
    columns, rows, parts = 5 + classes, 0, []
    for level, stride in zip(run(writer, "images"), (8, 16, 32)):
        box = writer.node("Slice", [level, "zero", "four", "one"])
        score = writer.node("Sigmoid", [writer.node("Slice", [level, "four", "all", "one"])])
        cells = (width // stride) * (height // stride)
        shape = f"shape{stride}"
        writer.constants.append(numpy_helper.from_array(np.array([1, columns, cells], np.int64), shape))
        parts.append(writer.node("Reshape", [writer.node("Concat", [box, score], axis=1), shape]))
        rows += cells
    for name, value in (("zero", 0), ("four", 4), ("all", columns), ("one", 1)):
        writer.constants.append(numpy_helper.from_array(np.array([value], np.int64), name))
    joined = writer.node("Concat", parts, axis=2)
    writer.nodes.append(helper.make_node("Transpose", [joined], ["output"], perm=[0, 2, 1]))
    whole = helper.make_graph(
        writer.nodes, "stopline-small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, height, width])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, rows, columns])], writer.constants)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="stopline tests/scenes/recipe")
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("onnx", type=Path)
    parser.add_argument("--int8", type=Path)
    parser.add_argument("--pictures", type=Path, help="dataset whose train.json calibrates the eight-bit model")
    given = parser.parse_args()
    kept = torch.load(given.weights, map_location="cpu", weights_only=True)
    net = Net(widths=kept["widths"])
    net.load_state_dict(kept["net"])
    net.eval()
    model = graph(net, *kept["size"])
    given.onnx.write_bytes(model.SerializeToString())
    print(given.onnx, given.onnx.stat().st_size, "bytes", hashlib.sha256(given.onnx.read_bytes()).hexdigest())
    print("largest difference from PyTorch:", check(net, given.onnx, kept["size"]))
    if given.int8:
        quantised(given.onnx, given.int8, given.pictures, kept["size"])


def check(net, path, size):
    """Largest difference between ONNX Runtime's and PyTorch's answer to noise."""
    import onnxruntime
    noise = np.random.default_rng(0).uniform(0, 1, (1, 3, size[1], size[0])).astype(np.float32)
    answer = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"images": noise})[0]
    with torch.no_grad():
        raw = net(torch.from_numpy(noise))
    raw[..., 4:] = raw[..., 4:].sigmoid()
    return float(np.abs(answer - raw.numpy()).max())


def quantised(source, target, pictures, size, count=200):
    """Static quantisation (QDQ, eight bits, per channel), calibrated on training pictures; boxes and scores stay f32."""
    from onnxruntime import quantization

    from .data import Dataset, letterbox

    class Reader(quantization.CalibrationDataReader):
        """Prepared pictures, one by one."""

        def __init__(self):
            data = Dataset(pictures, "train")
            self.rest = iter([data.picture(k) for k in range(0, len(data), max(len(data) // count, 1))][:count])

        def get_next(self):
            picture = next(self.rest, None)
            if picture is None:
                return None
            prepared = letterbox(picture, size)[0][..., ::-1].astype(np.float32) / 255
            return {"images": prepared.transpose(2, 0, 1)[None].copy()}

    quantization.quantize_static(str(source), str(target), Reader(), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
                                 activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
                                 op_types_to_quantize=["Conv", "Add", "Relu"])
    print(target, target.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
