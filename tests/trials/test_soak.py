"""A soak of a few validations runs from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ground import ROOT

ARGUMENTS = ["--validations", "40", "--batch", "10", "--hostile-share", "0"]


@pytest.mark.needs_sandbox
def test_a_short_soak_is_flat_and_says_what_it_saw(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trials.soak", *ARGUMENTS, "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    [result] = [json.loads(path.read_text()) for path in tmp_path.iterdir()]
    assert result["differing"] == []
    assert result["validations"] == 40
    assert [sample["validations"] for sample in result["samples"]] == [0, 10, 20, 30, 40]
    assert all(sample["processes"] > 1 for sample in result["samples"])
    # Whether it is flat is told truly; four samples are too few to demand it.
    assert done.returncode == (1 if result["grown"] else 0), done.stdout + done.stderr
