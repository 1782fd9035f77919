"""The example of a script, on a real site: web process and workers of their own."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ground import ROOT
from tests.plans import layers, plan, write_plan
from tests.product import Product, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.needs_sandbox]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:  # noqa: S310  our own loopback server
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture
def plan_file(scratch: Path) -> Path:
    return write_plan(scratch / "plan", plan(*layers(6, 4, 2), name="by rest"))


@pytest.fixture
def site(scratch: Path, plan_file: Path) -> Iterator[tuple[Product, str]]:
    """A running site that knows the plan's answers, and its address."""
    product = Product(
        scratch / "site", MGE_SCRIPTED_ANSWERS=str(plan_file), MGE_SCRIPTED_LATENCY="0.3", MGE_WORKERS="1"
    )
    try:
        if "DATABASE_URL" not in product.environment:
            assert product.manage("migrate", "--verbosity", "0").returncode == 0
        url = f"http://127.0.0.1:{free_port()}"
        product.start("runserver", "--noreload", url.removeprefix("http://"))
        product.start("qcluster")
        wait_for(lambda: ready(url), "the site is ready")
        yield product, url
    finally:
        product.close()


def test_it_drives_a_plan_from_file_to_tested_project(
    site: tuple[Product, str], plan_file: Path, scratch: Path
) -> None:
    product, url = site
    made = "from django.contrib.auth.models import User; User.objects.create_user('ada')"
    assert product.manage("shell", "-c", made).returncode == 0
    token = product.manage("token", "create", "ada").stdout.strip()
    archive, project = scratch / "project.zip", scratch / "project"

    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "examples/rest_client.py"),
            url,
            token,
            str(plan_file),
            "--zip",
            str(archive),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("paused: ") for line in lines)
    assert lines[-1].startswith("completed: precision 100.0 %")
    paused = next(line for line in lines if line.startswith("paused: "))
    before, after = (part for part in paused.split() if part.isdigit())
    assert before == after
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(project)
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:django", str(project)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=scratch,
    )
    assert "12 passed" in tested.stdout, tested.stdout

    wrong = subprocess.run(
        [sys.executable, str(ROOT / "examples/rest_client.py"), url, "mge_wrong", str(plan_file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "401" in wrong.stderr
