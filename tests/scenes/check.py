"""Checks of renderer and recipe: `python -m unittest check` in this folder. About 45 s of one core."""

import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

from recipe import bundle, export, model, restore, score
from recipe.data import Varied, letterbox
from recipe.loss import loss
from scenes import person, stills, street
from scenes.camera import Light, Studio, View, sky
from scenes.mesh import Mesh
from scenes.scene import Scene, boxes
from scenes.signs import atlas

STUDIO = None


def studio():
    """One studio for all tests: buffers are dear."""
    global STUDIO
    STUDIO = STUDIO or Studio()
    return STUDIO


class Rendering(unittest.TestCase):
    def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(self):
        first, again, other = (stills.sample(studio(), 9, number) for number in (3, 3, 4))
        self.assertEqual(first, again)
        self.assertNotEqual(first[0], other[0])

    def test_pixels_of_a_person_lie_where_the_camera_says_their_vertices_are(self):
        rng, mesh = np.random.default_rng(5), Mesh()
        sky(mesh)
        mesh.ground(-20, 20, -5, 60, 0.0, (0.3, 0.3, 0.3))
        thing = street.put(mesh, rng, (0.7, 9.0, 0.0), 2.0, 40, person.standing(rng))
        view = View(np.array([0.2, 0.0, 1.6]), yaw=0.05, pitch=0.04, roll=0.02, hfov=55, size=(640, 360))
        stage = studio()
        stage.print_sheet(atlas(rng))
        stage.show("still", mesh)
        _, numbers = stage.take(view, Light(), (0, 10, 0))
        found = boxes(Scene(mesh, view, Light(), None, (0, 10, 0), [thing]), numbers)
        self.assertEqual(len(found), 1)
        np.testing.assert_allclose(found[0]["box"], found[0]["whole"], atol=1.6)
        self.assertGreater(found[0]["seen"], 0.95)
        self.assertAlmostEqual(found[0]["distance_m"], np.linalg.norm(thing.at - view.place), places=3)
        hips = found[0]["keypoints"]["left_hip"]
        self.assertEqual(hips[2], 2, "the hip's pixel is the person's own")

    def test_parts_of_a_dataset_are_told_by_the_pictures_own_seed(self):
        parts = [stills.part_of(1, number) for number in range(4000)]
        self.assertEqual(parts, [stills.part_of(1, number) for number in range(4000)])
        for part, share in (("train", 0.8), ("val", 0.1), ("test", 0.1)):
            self.assertAlmostEqual(parts.count(part) / 4000, share, delta=0.025)


class Posing(unittest.TestCase):
    def test_who_lies_is_down_and_who_stands_sits_or_crawls_is_not(self):
        for seed in range(12):
            rng = np.random.default_rng(seed)
            poses = {"person_down": [person.lying(rng)], "person": [person.standing(rng), person.walking(seed), person.crawling(rng), person.bending(rng)]}
            for label, those in poses.items():
                for pose in those:
                    self.assertEqual(street.put(Mesh(), rng, (0, 9, 0), 0.0, 40, pose).label, label)

    def test_nobody_sinks_into_the_ground(self):
        rng = np.random.default_rng(1)
        thing = street.put(Mesh(), rng, (0, 9, 0.12), 0.0, 40, person.lying(rng))
        self.assertAlmostEqual(float(thing.places[:, 2].min()), 0.12, places=5)


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
