"""The workflows call only targets that the Makefile has."""

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).parent.parent


@unittest.skipUnless((ROOT / "Makefile").exists(), "the pipeline is not merged yet")
class Pipeline(unittest.TestCase):
    def test_every_target_that_a_workflow_calls_exists(self) -> None:
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        for name in ("ci", "deploy"):
            text = (ROOT / f".github/workflows/{name}.yml").read_text()
            called = set(re.findall(r"run: make ([\w-]+)", text))
            self.assertTrue(called)
            self.assertLessEqual(called, targets)

    def test_the_image_does_not_run_as_root(self) -> None:
        text = (ROOT / "Dockerfile").read_text()
        self.assertGreaterEqual(text.count("FROM "), 2)
        self.assertRegex(text, r"(?m)^USER (?!root)")
