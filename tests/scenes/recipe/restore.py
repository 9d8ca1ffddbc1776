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


@torch.no_grad()
def settled(net, pictures):
    """Gives each normalisation the mean and variance of what it sees in `pictures` (n × 3 × h × w), and makes up for it in its factor and
    offset: the network answers as before, and goes on answering so when it normalises by batches again."""
    hooks = [norm.register_forward_pre_hook(lambda norm, given: _settle(norm, given[0])) for norm in net.norms.values()]
    net.eval()
    net(pictures)
    for hook in hooks:
        hook.remove()
    return net


def _settle(norm, seen):
    """One normalisation, before it computes."""
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    offset = norm.bias - norm.running_mean * factor
    mean, variance = seen.mean((0, 2, 3)), seen.var((0, 2, 3))
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_(factor * torch.sqrt(variance + norm.eps))
    norm.bias.copy_(offset + mean * factor)
