"""Checks of the training recipe: `python -m unittest check_recipe` in this folder."""

import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

from recipe import bundle, export, model, restore, score
from recipe.data import Varied, letterbox
from recipe.loss import loss


class Recipe(unittest.TestCase):
    def test_onnx_says_what_pytorch_says_and_weights_come_back_from_it(self):
        torch.manual_seed(1)
        net = model.Net().eval()
        for norm in net.norms.values():
            norm.running_mean.uniform_(-0.2, 0.2)
            norm.running_var.uniform_(0.5, 1.5)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "m.onnx"
            path.write_bytes(export.graph(net, 416, 256).SerializeToString())
            self.assertLess(export.check(net, path, (416, 256)), 1e-3)
            back = restore.from_onnx(path).eval()
        with torch.no_grad():
            picture = torch.rand(1, 3, 256, 416)
            self.assertLess(float((net(picture) - back(picture)).abs().max()), 1e-3)

    def test_the_loss_falls_on_one_picture_and_its_box_is_found(self):
        torch.manual_seed(1)
        net, cells = model.Net(), model.grid(128, 96)
        picture, wanted = torch.rand(2, 3, 96, 128), [torch.tensor([[20.0, 20, 60, 80, 1]])] * 2
        picture[:, :, 20:80, 20:60] = 0.9
        optimiser = torch.optim.AdamW(net.parameters(), lr=4e-3)
        values = []
        for _ in range(60):
            value, _ = loss(net(picture), wanted, cells, 3)
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            values.append(float(value.detach()))
        self.assertLess(values[-1], values[0] / 3)
        raw = net(picture)[0].detach()
        best = (raw[:, 4].sigmoid() * raw[:, 6].sigmoid()).argmax()
        overlap = score.overlaps(model.boxes(raw, cells)[best].numpy(), np.array([[20.0, 20, 60, 80]]))
        self.assertGreater(overlap[0], 0.6)

    def test_pictures_with_a_rare_label_come_as_often_as_asked_for(self):
        class Three:
            boxes = [np.zeros((0, 5), np.float32), np.array([[0, 0, 9, 9, 2]], np.float32), np.array([[0, 0, 9, 9, 0], [0, 0, 9, 9, 2]], np.float32)]
        self.assertEqual(Varied(Three, (64, 64), 1, repeat=[(2, 3), (0, 2)]).order, [0, 1, 1, 1, 2, 2, 2])

    def test_average_precision_of_known_answers(self):
        self.assertAlmostEqual(score.precision([(0.9, True), (0.8, True)], 2), 1.0)
        self.assertAlmostEqual(score.precision([(0.9, False), (0.8, True)], 1), 0.5)
        self.assertAlmostEqual(score.precision([(0.9, True)], 2), 51 / 101)
        self.assertTrue(np.isnan(score.precision([], 0)))

    def test_a_letterboxed_picture_lies_at_the_upper_left_and_the_rest_is_grey(self):
        out, scale = letterbox(np.full((480, 640, 3), 200, np.uint8), (416, 256))
        self.assertEqual(scale, (341 / 640, 256 / 480))
        self.assertEqual((int(out[0, 0, 0]), int(out[255, 340, 0]), int(out[0, 341, 0])), (200, 200, 114))

    def test_a_manifest_is_written_as_toml_that_says_the_same(self):
        import tomllib
        value = {"schema": 1, "labels": ["a", "b"], "input": {"width": 4, "resize": {"pad": 114}}, "golden": [
            {"image": "golden/a.jpg", "detections": [{"label": "a", "box": [1.0, 2.0, 3.0, 4.0]}], "tolerance": {"iou": 0.8}}, {"image": "b", "detections": []}]}
        self.assertEqual(tomllib.loads(bundle.toml(value)), json.loads(json.dumps(value)))


if __name__ == "__main__":
    unittest.main()
