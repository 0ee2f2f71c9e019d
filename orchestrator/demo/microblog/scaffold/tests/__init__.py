"""Tests: `python -m unittest`."""
