"""Weights back from an ONNX file that `recipe.export` wrote, so that it can be trained further."""

import onnx
import torch
from onnx import numpy_helper

from .model import Net


def from_onnx(path):
    """A network whose normalisations are neutral and whose weights are the file's."""
    kept = {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in onnx.load(str(path)).graph.initializer}
    widths = tuple(kept[f"{name}.w"].shape[0] for name in ("stem", "down4", "down8", "down16", "down32"))
    net = Net(classes=kept["see8.w"].shape[0] - 5, widths=widths)
    for name, conv in net.convs.items():
        conv.weight.data.copy_(kept[f"{name}.w"])
        if name in net.norms:
            norm = net.norms[name]
            norm.running_mean.zero_()
            norm.running_var.fill_(1 - norm.eps)
            norm.weight.data.fill_(1.0)
            norm.bias.data.copy_(kept[f"{name}.b"])
        else:
            conv.bias.data.copy_(kept[f"{name}.b"])
    return net
