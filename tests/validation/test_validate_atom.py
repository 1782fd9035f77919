"""`manage.py validate_atom`: a line in, a verdict out, whatever the line holds."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = "from pkg.f import f\n\n\ndef test_f():\n    assert f(1) == 2\n"
KEYS = {"id", "passed", "executed", "isolation", "issues", "duration_ms", "cpu_ms"}


def line(identity: Any, source: str = "def f(x):\n    return x + 1\n", **more: Any) -> bytes:
    atom = {
        "id": identity,
        "source": source,
        "tests": TESTS,
        "entry_point": "f",
        "target_path": "pkg/f.py",
    } | more
    return json.dumps(atom).encode() + b"\n"


def validate_atom(*arguments: str, given: bytes = b"", data: Path) -> tuple[int, list[dict[str, Any]], str]:
    done = subprocess.run(
        [sys.executable, "manage.py", "validate_atom", *arguments],
        input=given,
        capture_output=True,
        cwd=ROOT,
        env={"MGE_DATA_DIR": str(data), "PATH": "/usr/bin:/bin"},
        check=False,
    )
    return done.returncode, [json.loads(text) for text in done.stdout.splitlines()], done.stderr.decode()


@pytest.mark.needs_sandbox
def test_every_line_gets_its_verdict_in_order(sandbox_data: Path) -> None:
    given = b"".join(
        [
            line("good"),
            line(7, "def f(x):\n    return x\n"),
            b"{broken\n",
            b"\n",
            b"\xff\xfe\x00binary\n",
            line("bytes", source_b64=base64.b64encode(b"\xff").decode()).replace(
                b'"source":', b'"source_was":'
            ),
            b'{"id": "keys"}\n',
            line("outside", target_path="../x.py"),
            line("huge", "#" * (5 << 20)),
            line("names", entry_point=["f", "g"]),
            line("last", files={"pkg/g.py": "y = 1\n"}).rstrip(b"\n"),
        ]
    )
    code, verdicts, errors = validate_atom("--jsonl", "-", "--jobs", "3", given=given, data=sandbox_data)
    assert code == 0, errors
    assert [verdict["id"] for verdict in verdicts] == [
        "good",
        7,
        None,
        None,
        "bytes",
        "keys",
        "outside",
        None,
        "names",
        "last",
    ]
    assert [verdict["passed"] for verdict in verdicts] == [True] + [False] * 8 + [True]
    assert all(set(verdict) == KEYS for verdict in verdicts)
    rules = [[issue["rule"] for issue in verdict["issues"]] for verdict in verdicts]
    assert rules == [
        [], ["test-failed"], ["bad-input"], ["bad-input"], ["text-encoding"], ["bad-input"], ["bad-input"],
        ["bad-input"], ["entry-point-missing"], [],
    ]  # fmt: skip
    assert all(
        set(issue) == {"severity", "rule", "message", "line"} for v in verdicts for issue in v["issues"]
    )


def test_an_unreadable_file_ends_with_two(sandbox_data: Path, tmp_path: Path) -> None:
    code, verdicts, errors = validate_atom("--jsonl", str(tmp_path / "none"), data=sandbox_data)
    assert (code, verdicts) == (2, [])
    assert "No such file" in errors
    assert "Traceback" not in errors


@pytest.mark.needs_sandbox
def test_a_folder_instead_of_a_file_ends_with_two(sandbox_data: Path, tmp_path: Path) -> None:
    code, verdicts, errors = validate_atom("--jsonl", str(tmp_path), data=sandbox_data)
    assert (code, verdicts) == (2, [])
    assert "Is a directory" in errors
    assert "Traceback" not in errors


@pytest.mark.needs_sandbox
def test_a_line_of_any_length_is_read_past_without_being_kept(sandbox_data: Path, tmp_path: Path) -> None:
    """Its bytes would show in the peak of the process."""

    def peak(given: bytes) -> tuple[list[Any], int]:
        script = (
            "import sys, runpy; sys.argv = ['manage.py', 'validate_atom', '--jsonl', 'given']\n"
            "try:\n    runpy.run_path('manage.py', run_name='__main__')\nfinally:\n"
            "    sys.stderr.write(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
        )
        (tmp_path / "given").write_bytes(given)
        done = subprocess.run(
            [sys.executable, "-c", script.replace("'given'", repr(str(tmp_path / "given")))],
            capture_output=True,
            cwd=ROOT,
            env={"MGE_DATA_DIR": str(sandbox_data), "PATH": "/usr/bin:/bin"},
            check=True,
        )
        return [json.loads(text)["id"] for text in done.stdout.splitlines()], int(done.stderr) * 1024

    _, small = peak(b"{}\n")
    identities, large = peak(b"{}\n" + b"x" * (100 << 20) + b"\n" + line("after"))
    assert identities == [None, None, "after"]
    assert large - small < 50 << 20


@pytest.mark.needs_sandbox
def test_lines_that_only_a_file_system_would_refuse_do_not_stop_the_others(sandbox_data: Path) -> None:
    given = b"".join(
        [
            line("folder", files={"pkg": "x = 1\n"}),
            line("long", target_path="x" * 250 + ".py"),
            line("half", files={"pkg/g.py": "\ud800"}),
            line("half source", "\ud800"),
            line("after"),
        ]
    )
    code, verdicts, errors = validate_atom("--jsonl", "-", given=given, data=sandbox_data)
    assert code == 0, errors
    assert [verdict["passed"] for verdict in verdicts] == [False] * 4 + [True]
    assert all(set(verdict) == KEYS for verdict in verdicts)


@pytest.mark.parametrize("jobs", ["0", "-5", "1000", "many"])
def test_a_number_of_jobs_that_makes_no_sense_ends_with_two(sandbox_data: Path, jobs: str) -> None:
    code, verdicts, said = validate_atom("--jsonl", "-", f"--jobs={jobs}", data=sandbox_data)

    assert (code, verdicts) == (2, [])
    assert "--jobs" in said


@pytest.mark.needs_sandbox
def test_a_reader_that_has_seen_enough_causes_no_traceback(sandbox_data: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "validate_atom", "--jsonl", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={"MGE_DATA_DIR": str(sandbox_data), "PATH": "/usr/bin:/bin"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(line("first"))
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["passed"]
    process.stdout.close()

    # As many as it takes to fill what the pipe still holds of verdicts. That more lines could come keeps nobody waiting.
    process.stdin.write(b"".join(line(number) for number in range(20)))
    process.stdin.flush()

    said = process.stderr.read().decode()
    assert process.wait(timeout=120) == 0
    process.stdin.close()
    assert "Traceback" not in said
