"""Checks of the renderer: `python -m unittest check_renderer` in this folder. Needs panda3d, no torch."""

import unittest

import numpy as np

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
