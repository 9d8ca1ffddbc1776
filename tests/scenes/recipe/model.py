"""The detector: plain 3 × 3 convolutions and ReLU, three strides, one row per cell.

The network is written once, over an object that knows how to convolve, add and enlarge: PyTorch does it for training
(`Net`), `export.py` writes it as ONNX. Output as YOLOX has it: dx, dy, log w, log h, objectness, classes.
"""

import math

import torch
from torch import nn
from torch.nn import functional

LABELS = ["stop_sign", "person", "person_down"]
STRIDES = (8, 16, 32)
# Channels: stem, stride 4, 8, 16, 32.
WIDTHS = (16, 24, 32, 48, 96)


def convolutions(classes=len(LABELS), widths=WIDTHS):
    """Name → (channels in, channels out, kernel, stride, activated)."""
    a, b, c, d, e = widths
    out = 5 + classes
    return {
        "stem": (3, a, 3, 2, True), "down4": (a, b, 3, 2, True), "down8": (b, c, 3, 2, True), "keep8": (c, c, 3, 1, True),
        "down16": (c, d, 3, 2, True), "keep16": (d, d, 3, 1, True), "down32": (d, e, 3, 2, True), "keep32": (e, e, 3, 1, True),
        "deep32": (e, e, 3, 1, True), "up32": (e, d, 1, 1, True), "join16": (d, d, 3, 1, True), "up16": (d, c, 1, 1, True),
        "join8": (c, c, 3, 1, True), "see8": (c, out, 1, 1, False), "see16": (d, out, 1, 1, False), "see32": (e, out, 1, 1, False),
    }


def run(ops, x):
    """The network over `ops`; three maps, of stride 8, 16 and 32."""
    x = ops.conv("down8", ops.conv("down4", ops.conv("stem", x)))
    s8 = ops.add(x, ops.conv("keep8", x))
    x = ops.conv("down16", s8)
    s16 = ops.add(x, ops.conv("keep16", x))
    x = ops.conv("down32", s16)
    x = ops.add(x, ops.conv("keep32", x))
    s32 = ops.add(x, ops.conv("deep32", x))
    s16 = ops.conv("join16", ops.add(s16, ops.twice(ops.conv("up32", s32))))
    s8 = ops.conv("join8", ops.add(s8, ops.twice(ops.conv("up16", s16))))
    return [ops.conv("see8", s8), ops.conv("see16", s16), ops.conv("see32", s32)]


class Net(nn.Module):
    """For training. Input: n × 3 × h × w, RGB from 0 to 1. Output: n × cells × (5 + classes), logits."""

    def __init__(self, classes=len(LABELS), widths=WIDTHS):
        super().__init__()
        self.widths, self.frozen = tuple(widths), {}
        self.table = convolutions(classes, widths)
        self.convs, self.norms = nn.ModuleDict(), nn.ModuleDict()
        for name, (first, last, kernel, stride, active) in self.table.items():
            self.convs[name] = nn.Conv2d(first, last, kernel, stride, kernel // 2, bias=not active)
            if active:
                self.norms[name] = nn.BatchNorm2d(last, eps=1e-3, momentum=0.03)
            else:
                nn.init.normal_(self.convs[name].weight, 0, 0.01)
                nn.init.constant_(self.convs[name].bias, 0.0)
                self.convs[name].bias.data[4:] = -math.log((1 - 0.01) / 0.01)

    def conv(self, name, x):
        """One convolution, normalised and cut off at zero where it is activated."""
        if name in self.frozen:
            _, _, kernel, stride, _ = self.table[name]
            return functional.conv2d(x, *self.frozen[name], stride, kernel // 2).relu_()
        x = self.convs[name](x)
        return functional.relu(self.norms[name](x)) if name in self.norms else x

    def freeze(self, names):
        """These convolutions stay as they are, statistics too, and are computed with their normalisations folded in. No gradient goes
        below them: let them be the first ones, and activated. Load weights before."""
        unknown = set(names) - set(self.table)
        if unknown:
            raise ValueError(f"no such convolutions: {', '.join(sorted(unknown))}; there are {', '.join(self.table)}")
        folded = self.folded()
        self.frozen = {name: tuple(torch.from_numpy(part) for part in folded[name]) for name in names}
        for name in names:
            for value in [*self.convs[name].parameters(), *self.norms[name].parameters()]:
                value.requires_grad_(False)
        return self.train(self.training)

    def train(self, mode=True):
        super().train(mode)
        for name in self.frozen:
            self.norms[name].eval()
        return self

    @staticmethod
    def add(a, b):
        """Sum."""
        return a + b

    @staticmethod
    def twice(x):
        """Nearest neighbour, twice the size."""
        return functional.interpolate(x, scale_factor=2, mode="nearest")

    def forward(self, x):
        return torch.cat([level.flatten(2).transpose(1, 2) for level in run(self, x)], 1)

    def folded(self):
        """Name → (weight, bias), normalisation folded into them."""
        out = {}
        for name, conv in self.convs.items():
            weight, bias = conv.weight.detach(), conv.bias.detach() if conv.bias is not None else None
            if name in self.norms:
                norm = self.norms[name]
                scale = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
                weight = weight * scale[:, None, None, None]
                bias = norm.bias.detach() - norm.running_mean * scale
            out[name] = (weight.float().cpu().numpy(), bias.float().cpu().numpy())
        return out


def grid(width, height):
    """Each cell's column and row, and its stride: cells × 3."""
    rows = []
    for stride in STRIDES:
        y, x = torch.meshgrid(torch.arange(height // stride), torch.arange(width // stride), indexing="ij")
        rows.append(torch.stack([x.flatten(), y.flatten(), torch.full((x.numel(),), stride)], 1))
    return torch.cat(rows).float()


def boxes(raw, cells):
    """Rows of the network to corners in input pixels."""
    centre = (raw[..., :2] + cells[:, :2]) * cells[:, 2:]
    size = torch.exp(raw[..., 2:4].clamp(-8, 8)) * cells[:, 2:]
    return torch.cat([centre - size / 2, centre + size / 2], -1)


def cost(width, height, widths=WIDTHS):
    """Multiply-adds of one picture, and the number of parameters."""
    size = {"stem": 2, "down4": 4, "down8": 8, "keep8": 8, "down16": 16, "keep16": 16, "down32": 32, "keep32": 32, "deep32": 32,
            "up32": 32, "join16": 16, "up16": 16, "join8": 8, "see8": 8, "see16": 16, "see32": 32}
    macs = parameters = 0
    for name, (first, last, kernel, _, _) in convolutions(widths=widths).items():
        weights = first * last * kernel * kernel
        macs += weights * (width // size[name]) * (height // size[name])
        parameters += weights + last
    return macs, parameters
