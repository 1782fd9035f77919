"""What the suite's parts need to know of where they are: read once, before the environment is cleaned."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
ON_POSTGRES = os.environ.get("MGE_TEST_ENGINE") == "postgres"
SERVER_URL = os.environ.get("MGE_TEST_DATABASE_URL", "")
REQUIRED = {word.strip() for word in os.environ.get("MGE_REQUIRE", "").split(",") if word.strip()}
