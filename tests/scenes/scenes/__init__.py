"""Rendered scenes: roads, junctions, corridors and rooms, with exact truth for every frame."""
