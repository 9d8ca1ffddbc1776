"""Checks of the training recipe: `python -m unittest check_recipe` in this folder."""

import json
import os
import tempfile
import unittest
from pathlib import Path

import cv2
import numpy as np
import torch

from recipe import bundle, export, model, restore, score, sizes, split, tables
from recipe.data import Dataset, Varied, letterbox
from recipe.loss import answering, loss
from recipe.record import Record


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

    def test_weights_of_an_onnx_file_answer_while_they_are_trained_as_they_answered_before(self):
        torch.manual_seed(1)
        net = model.Net().eval()
        for norm in net.norms.values():
            norm.running_mean.uniform_(-0.2, 0.2)
            norm.running_var.uniform_(0.5, 1.5)
        pictures = torch.rand(4, 3, 96, 96)
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            path = Path(folder) / "m.onnx"
            path.write_bytes(export.graph(net, 96, 96).SerializeToString())
            back, far = restore.from_onnx(path), lambda answer: float((answer - net(pictures)).abs().max())
            self.assertGreater(far(back.train()(pictures)), 0.1, "what is put right does not show")
            back = restore.settled(restore.from_onnx(path), pictures)
            self.assertLess(far(back(pictures)), 1e-3)
            self.assertLess(far(back.train()(pictures)), 2e-2)

    def test_the_loss_of_a_batch_is_that_of_its_pictures(self):
        torch.manual_seed(1)
        cells, raw = model.grid(128, 96), torch.randn(3, 252, 8)
        wanted = [torch.tensor([[20.0, 20, 60, 80, 1], [64, 10, 90, 40, 0]]), torch.zeros(0, 5), torch.tensor([[4.0, 4, 30, 20, 2], [40, 40, 90, 90, -1]])]
        counted = lambda some: len(answering(raw[some], [wanted[k] for k in some], cells)[2])
        part = lambda some: np.array(list(loss(raw[some], [wanted[k] for k in some], cells, 3)[1].values())) * max(counted(some), 1)
        self.assertGreater(min(counted([0]), counted([2])), 0)
        np.testing.assert_allclose(part([0]) + part([1]) + part([2]), part([0, 1, 2]), rtol=1e-4)

    def test_pictures_with_a_rare_label_come_as_often_as_asked_for(self):
        class Three:
            boxes = [np.zeros((0, 5), np.float32), np.array([[0, 0, 9, 9, 2]], np.float32), np.array([[0, 0, 9, 9, 0], [0, 0, 9, 9, 2]], np.float32)]
        self.assertEqual(Varied(Three, (64, 64), 1, repeat=[(2, 3), (0, 2)]).order, [0, 1, 1, 1, 2, 2, 2])

    def test_average_precision_of_known_answers(self):
        self.assertAlmostEqual(score.precision([(0.9, True), (0.8, True)], 2), 1.0)
        self.assertAlmostEqual(score.precision([(0.9, False), (0.8, True)], 1), 0.5)
        self.assertAlmostEqual(score.precision([(0.9, True)], 2), 51 / 101)
        self.assertTrue(np.isnan(score.precision([], 0)))

    def test_held_layers_stay_as_they_are_while_others_learn(self):
        torch.manual_seed(1)
        net = model.Net()
        net.norms["down4"].running_mean.uniform_(-0.2, 0.2)
        picture = torch.rand(1, 3, 64, 64)
        with torch.no_grad():
            answer = net.eval()(picture)
            net.freeze(["stem", "down4"])
            self.assertLess(float((net(picture) - answer).abs().max()), 1e-4)
        before = {name: value.clone() for name, value in net.state_dict().items()}
        net.train()
        optimiser = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.1)
        net(torch.rand(2, 3, 64, 64)).sum().backward()
        optimiser.step()
        for name, value in net.state_dict().items():
            held = name.split(".")[1] in ("stem", "down4")
            self.assertEqual(bool(torch.equal(value, before[name])), held, name)
        self.assertRaises(ValueError, net.freeze, ["none"])

    def test_within_a_range_of_sizes_only_its_own_boxes_count(self):
        large, small = [0.0, 0, 100, 100], [200.0, 0, 210, 10]
        own, none = np.array([large, small]), np.zeros((0, 4))
        boxes, scores = np.array([small, large, [300.0, 0, 310, 10], [300, 100, 400, 200]]), np.array([0.9, 0.8, 0.7, 0.6])
        self.assertEqual(sizes.matched(boxes, scores, own, none, 0, 50), [(0.9, True), (0.7, False)])
        self.assertEqual(sizes.matched(boxes, scores, own, none, 50, 1e9), [(0.8, True), (0.6, False)])
        self.assertEqual(len(sizes.matched(boxes, scores, own, none, 0, 1e9)), 4)

    def test_rates_and_their_intervals_are_those_of_the_tables(self):
        # Garwood's exact limits: 0 events: 3.689; 3 events: 0.619 to 8.767; 10 events: 4.795 to 18.390.
        self.assertAlmostEqual(tables.rate(0, 1.0)["high"], 3.69)
        self.assertEqual(tables.rate(3, 1.0), {"rate": 3.0, "low": 0.62, "high": 8.77})
        self.assertEqual(tables.rate(10, 2.0), {"rate": 5.0, "low": 2.4, "high": 9.2})
        self.assertIsNone(tables.rate(0, 0.0)["rate"])
        row = {"hours": 0.5, "events": 2, "found": 1, "wrong": 1, "repeated": 0, "kmh": 24.0, "time_to_decision_s": [1.5]}
        table = tables.counted([row, {**row, "found": 2, "kmh": 30.0, "time_to_decision_s": [0.5, 2.5]}], by_speed=True)
        self.assertEqual((table["recall"]["recall"], table["precision"]["recall"], table["time_to_decision_s"]["median"]), (0.75, 0.6, 1.5))
        self.assertEqual([band["found"] for band in table["by_speed"].values()], [0, 1, 2])

    def test_of_a_dataset_that_is_added_only_the_first_pictures_and_their_boxes_are_taken(self):
        whole = {"images": [{"id": 7}, {"id": 9}], "annotations": [{"image_id": 9}, {"image_id": 7}], "categories": []}
        self.assertEqual(split.first(whole, 1), {**whole, "images": [{"id": 7}], "annotations": [{"image_id": 7}]})
        self.assertEqual(split.first(whole, None), whole)

    def test_pictures_kept_decoded_are_the_same_and_another_set_gets_a_file_of_its_own(self):
        with tempfile.TemporaryDirectory() as folder:
            rng = np.random.default_rng(1)
            (Path(folder) / "images").mkdir()
            images = []
            for k, (width, height) in enumerate([(64, 48), (40, 30)]):
                cv2.imwrite(f"{folder}/images/{k}.png", rng.integers(0, 255, (height, width, 3), np.uint8))
                images.append({"id": k, "file_name": f"{k}.png", "width": width, "height": height})
            for part, own in (("train", images), ("val", images[1:])):
                (Path(folder) / f"{part}.json").write_text(json.dumps({"images": own, "annotations": [], "categories": []}))
            for part in ("train", "val"):
                plain, kept = Dataset(folder, part), Dataset(folder, part, decoded=f"{folder}/decoded")
                for k in range(len(plain)):
                    np.testing.assert_array_equal(plain.picture(k), kept.picture(k))
            self.assertEqual(len(list(Path(folder).glob("decoded-*"))), 2)

    def test_a_letterboxed_picture_lies_at_the_upper_left_and_the_rest_is_grey(self):
        out, scale = letterbox(np.full((480, 640, 3), 200, np.uint8), (416, 256))
        self.assertEqual(scale, (341 / 640, 256 / 480))
        self.assertEqual((int(out[0, 0, 0]), int(out[255, 340, 0]), int(out[0, 341, 0])), (200, 200, 114))

    def test_mlflow_opens_the_record_of_a_run(self):
        # Its file store is kept, and has to be allowed since MLflow 3.
        os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
        from mlflow.tracking import MlflowClient
        with tempfile.TemporaryDirectory() as folder:
            data, out = Path(folder) / "data", Path(folder) / "RUN"
            (data / "images").mkdir(parents=True)
            (data / "images" / "1.jpg").write_bytes(b"a picture")
            record = Record(out, data, {"rate": 0.002, "seed": 1})
            rows = [{"epoch": epoch, "box": 1 / (1 + epoch), "map50": 0.1 * epoch} for epoch in range(3)]
            for row in rows:
                record.metrics(row)
            record.finish(rows)
            client = MlflowClient(tracking_uri=f"file:{out / 'mlruns'}")
            experiment, = client.search_experiments()
            run, = client.search_runs([experiment.experiment_id])
            self.assertEqual((experiment.name, run.info.run_name, run.info.status), ("stopline-small", "RUN", "FINISHED"))
            self.assertEqual(run.data.params["rate"], "0.002")
            self.assertEqual(run.data.params["data_sha256"], record.whole["data_sha256"])
            told = [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, "map50")]
            self.assertEqual(told, [(row["epoch"], row["map50"]) for row in rows])
            self.assertEqual([one.path for one in client.list_artifacts(run.info.run_id)], ["curves.png"])

    def test_a_manifest_is_written_as_toml_that_says_the_same(self):
        import tomllib
        value = {"schema": 1, "labels": ["a", "b"], "input": {"width": 4, "resize": {"pad": 114}}, "golden": [
            {"image": "golden/a.jpg", "detections": [{"label": "a", "box": [1.0, 2.0, 3.0, 4.0]}], "tolerance": {"iou": 0.8}}, {"image": "b", "detections": []}]}
        self.assertEqual(tomllib.loads(bundle.toml(value)), json.loads(json.dumps(value)))


if __name__ == "__main__":
    unittest.main()
