"""The embedded server: one for all processes of a data directory, gone when they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from executions.scripted_model.embedded import (
    EmbeddedModelError,
    EmbeddedSettings,
    current_url,
    ensure_running,
    register_answers,
)
from executions.scripted_model.processes import WatchedProcess

ROOT = Path(__file__).resolve().parents[2]
STARTER = """
import sys
from pathlib import Path
from executions.scripted_model.embedded import EmbeddedSettings, ensure_running
settings = EmbeddedSettings(Path(sys.argv[1]), (), 0.4, 1, "0")
print(ensure_running(settings, watch_pid=int(sys.argv[2])))
"""


def settings_for(data_dir: Path, *answers: Path, latency: str = "0") -> EmbeddedSettings:
    return EmbeddedSettings(data_dir, answers, near_miss_share=1.0, seed=1, latency=latency)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass within a minute"
        time.sleep(0.05)


def get(url: str, content: object = None) -> Any:
    body = None if content is None else json.dumps(content).encode()
    with urllib.request.urlopen(url, data=body, timeout=10) as response:  # noqa: S310 - our own server
        return json.load(response)


def ask(url: str, text: str) -> str:
    content = {"model": "m", "max_tokens": 4096, "messages": [{"role": "user", "content": text}]}
    return str(get(f"{url}/v1/messages", content)["content"][0]["text"])


@pytest.fixture
def watched() -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts processes that live until they are killed."""
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        processes.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_processes_that_start_it_at_once_get_one_server(
    tmp_path: Path, watched: Callable[[], subprocess.Popen[bytes]]
) -> None:
    pid = str(watched().pid)
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", STARTER, str(tmp_path), pid], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    urls = {starter.communicate(timeout=120)[0].strip() for starter in starters}
    assert urls == {current_url(tmp_path)}


def test_it_ends_with_the_last_process_that_asked_for_it(
    tmp_path: Path, watched: Callable[[], subprocess.Popen[bytes]]
) -> None:
    first, second = watched(), watched()
    url = ensure_running(settings_for(tmp_path), watch_pid=first.pid)
    server = WatchedProcess.now(get(f"{url}/")["pid"])
    assert ensure_running(settings_for(tmp_path), watch_pid=second.pid) == url
    first.kill()
    first.wait()
    assert not WatchedProcess.now(first.pid).lives()
    assert ensure_running(settings_for(tmp_path), watch_pid=second.pid) == url
    assert server.lives()
    second.kill()  # and not waited for: a zombie has ended as well
    wait_until(lambda: not server.lives())
    assert current_url(tmp_path) is None
    assert not (tmp_path / "scripted-model.json").exists()


def test_a_server_that_was_killed_is_started_anew(
    tmp_path: Path, watched: Callable[[], subprocess.Popen[bytes]]
) -> None:
    pid = watched().pid
    url = ensure_running(settings_for(tmp_path), watch_pid=pid)
    server = get(f"{url}/")["pid"]
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: current_url(tmp_path) is None)
    assert (tmp_path / "scripted-model.json").exists(), "it had no time to take it away"
    again = ensure_running(settings_for(tmp_path), watch_pid=pid)
    assert get(f"{again}/")["pid"] != server


def test_a_port_that_someone_else_has_now_is_not_taken_for_the_server(tmp_path: Path) -> None:
    assert current_url(tmp_path) is None
    (tmp_path / "scripted-model.json").write_text('{"port": 1, "pid": 1}')
    assert current_url(tmp_path) is None
    (tmp_path / "scripted-model.json").write_text("not json")
    assert current_url(tmp_path) is None


def test_it_knows_the_answers_given_and_those_registered_later(
    tmp_path: Path, make_plan: Callable[..., Path], watched: Callable[[], subprocess.Popen[bytes]]
) -> None:
    folder = make_plan(atoms=1, near_misses={0: 1}, folder=tmp_path / "examples", name="Example").parent
    given = make_plan(atoms=2, near_misses={1: 2}, folder=tmp_path / "more", name="Given")
    url = ensure_running(settings_for(tmp_path / "data", folder, given), watch_pid=watched().pid)
    assert get(f"{url}/script")["plans"] == {
        "Example": {"atom-000": 2},
        "Given": {"atom-000": 1, "atom-001": 3},
    }
    later = make_plan(atoms=3, near_misses={2: 1}, folder=tmp_path / "later", name="Later")
    tests = json.loads(later.read_text())["atoms"][2]["tests"]
    register_answers(tmp_path / "data", later)
    register_answers(tmp_path / "data", later)
    assert "return x - 2 - 1" in ask(url, tests)
    assert get(f"{url}/script")["plans"]["Later"] == {"atom-000": 1, "atom-001": 1, "atom-002": 2}
    assert (tmp_path / "data" / "scripted-answers.txt").read_text() == f"{later.resolve()}\n"


def test_a_path_with_a_line_break_is_not_listed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line break"):
        register_answers(tmp_path, tmp_path / "a\nb.json")


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedModelError, match="latency"):
        ensure_running(settings_for(tmp_path, latency="fast"), watch_pid=os.getpid())


def test_a_process_with_the_number_of_another_is_not_taken_for_it() -> None:
    me = WatchedProcess.now(os.getpid())
    assert me.lives()
    assert not WatchedProcess(os.getpid(), "1").lives()


def test_the_command_serves_until_it_is_told_to_stop(tmp_path: Path, make_plan: Callable[..., Path]) -> None:
    path, port_file = make_plan(atoms=1), tmp_path / "port.json"
    command = [sys.executable, "manage.py", "scripted_model", "--port", "0", "--answers", str(path)]
    with subprocess.Popen(
        [*command, "--port-file", str(port_file)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        assert url == f"http://127.0.0.1:{json.loads(port_file.read_text())['port']}"
        assert "return x + 0" in ask(url, json.loads(path.read_text())["atoms"][0]["tests"])
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == 0
    assert not port_file.exists()


def test_the_command_refuses_answers_that_cannot_be_read(tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", "scripted_model", "--answers", str(tmp_path / "gone.json")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2
    assert "gone.json" in run.stderr
