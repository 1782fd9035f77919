"""Programs that want to get out, or to pass without being right. None does either."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from executions.validation.sandbox.limits import Limits
from executions.validation.verdict import Verdict
from tests.validation.conftest import Judge

TESTS = "from answer import f\n\n\ndef test_f():\n    assert f(1) == 2\n"
UNITTESTS = (
    "import unittest\nfrom answer import f\n\n\nclass TestF(unittest.TestCase):\n"
    "    def test_f(self):\n        self.assertEqual(f(1), 2)\n"
)
WRONG = "def f(x):\n    return 'wrong'\n"
EQUAL = "class E:\n    def __eq__(self, other):\n        return True\n    __hash__ = None\n"


def rules(verdict: Verdict) -> set[str]:
    """What rejects; notes for people stand beside it."""
    return {finding.rule for finding in verdict.findings if finding.severity.blocks}


TRICKS = {
    "sys.exit at import": (f"import sys\nsys.exit(0)\n{WRONG}", "exit-at-import"),
    "exit at import": (f"exit(0)\n{WRONG}", "exit-at-import"),
    "os._exit at import": (f"import os\nos._exit(0)\n{WRONG}", "exit-at-import"),
    "sys.exit in the call": ("import sys\ndef f(x):\n    sys.exit(0)\n", "exit-in-test"),
    "os._exit in the call": ("import os\ndef f(x):\n    os._exit(0)\n", "exit-in-test"),
    "exit status by atexit": (f"import atexit, os\natexit.register(os._exit, 0)\n{WRONG}", "test-failed"),
    "equal to everything": (f"{EQUAL}def f(x):\n    return E()\n", "always-equal"),
    "equal to everything, as an int": (
        "class E(int):\n    def __eq__(self, other):\n        return True\n    __hash__ = None\n"
        "def f(x):\n    return E()\n",
        "always-equal",
    ),
    "equal to every built-in": (
        "class E:\n    def __eq__(self, other):\n        return type(other) is int\ndef f(x):\n    return E()\n",
        "always-equal",
    ),
    "mock.ANY": ("from unittest.mock import ANY\ndef f(x):\n    return ANY\n", "always-equal"),
    "noise in the report": (
        "import os\nfor fd in range(3, 64):\n    try:\n        os.write(fd, b'passed\\n')\n"
        f"    except OSError:\n        pass\n{WRONG}",
        "forged-result",
    ),
    "own result line": (
        "import gc\ndef f(x):\n    for o in gc.get_objects():\n        if type(o).__name__ == 'Channel':\n"
        "            o.say('result', test='test_f', outcome='passed')\n    return 'wrong'\n",
        "forged-result",
    ),
    "own result and epilogue": (
        "import gc, os\ndef f(x):\n    for o in gc.get_objects():\n        if type(o).__name__ == 'Channel':\n"
        "            o.say('result', test='test_f', outcome='passed')\n            o.finish()\n    os._exit(0)\n",
        "forged-result",
    ),
    "a runner that always passes": (
        "import sys\nm = sys.modules['mge_inside.suite']\n"
        "m.Session.result = lambda self, test, outcome, **k: self.channel.say('result', test=test, outcome='passed')\n"
        + WRONG,
        "patched-runner",
    ),
    "other tests": (
        "import sys\nfor m in list(sys.modules.values()):\n    if getattr(m, '__name__', '').startswith('test_'):\n"
        "        m.__dict__['f'] = None\n" + WRONG,
        "test-failed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("start", ["", "import pytest\n"], ids=["own", "pytest"])
@pytest.mark.parametrize("name", TRICKS)
async def test_no_trick_makes_a_wrong_answer_pass(judged: Judge, name: str, start: str) -> None:
    source, rule = TRICKS[name]
    verdict = await judged(source, start + TESTS)
    assert not verdict.passed
    assert rules(verdict) == {rule}, verdict.findings


async def test_patching_unittest_is_noticed(judged: Judge) -> None:
    source = f"import unittest\nunittest.TestCase.assertEqual = lambda *a, **k: None\n{WRONG}"
    assert rules(await judged(source, UNITTESTS)) == {"patched-runner"}


async def test_an_always_equal_object_is_noticed_by_unittest_too(judged: Judge) -> None:
    assert rules(await judged(f"{EQUAL}def f(x):\n    return [E()][0]\n", UNITTESTS)) == {"always-equal"}


BENIGN = {
    "a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\ndef f(x):\n    return P(x)\n",
        "from answer import P, f\ndef test_f():\n    assert f(1) == P(1)\n",
    ),
    "an __eq__ that does not look at the type": (
        "class P:\n    def __init__(self, x):\n        self.x = x\n"
        "    def __eq__(self, other):\n        return self.x == other.x\n"
        "def f(x):\n    return P(x)\n",
        "from answer import P, f\ndef test_f():\n    assert f(1) == P(1)\n    assert [f(2)] == [P(2)]\n",
    ),
    "the tests' own matcher": (
        "def f(x):\n    return {'at': object()}\n",
        "from unittest.mock import ANY\nfrom answer import f\ndef test_f():\n    assert f(1) == {'at': ANY}\n",
    ),
    "sys.exit under a guard": (
        "import sys\ndef f(x):\n    return 2\nif __name__ == '__main__':\n    sys.exit(f(1))\n",
        TESTS,
    ),
    "an exit that the tests expect": (
        "import sys\ndef f(x):\n    sys.exit(3)\n",
        "from answer import f\ndef test_f():\n    try:\n        f(1)\n"
        "    except SystemExit as e:\n        assert e.code == 3\n",
    ),
    "a thread that never ends": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\ndef f(x):\n    return 2\n",
        TESTS,
    ),
    "a lot of output": ("print('x' * 1_000_000)\ndef f(x):\n    return 2\n", TESTS),
}


@pytest.mark.parametrize("name", BENIGN)
async def test_a_benign_look_alike_passes(judged: Judge, name: str) -> None:
    source, tests = BENIGN[name]
    verdict = await judged(source, tests)
    assert verdict.passed, verdict.findings


EXHAUSTING = {
    "endless loop": ("def f(x):\n    while True:\n        pass\n", "timeout"),
    "endless loop at import": ("while True:\n    pass\ndef f(x): pass\n", "timeout"),
    "endless sleep": ("import time\ndef f(x):\n    time.sleep(600)\n", "timeout"),
    "ignoring the signal": (
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\ndef f(x):\n    while True:\n        pass\n",
        "timeout",
    ),
    "memory at once": ("def f(x):\n    return bytearray(4 << 30)\n", "memory-limit"),
    "memory at import": ("x = bytearray(4 << 30)\ndef f(x): pass\n", "memory-limit"),
    "memory of many": (
        "import os, time\ndef f(x):\n    for _ in range(8):\n        if os.fork() == 0:\n"
        "            x = bytearray(b'x') * (200 << 20)\n            time.sleep(600)\n    time.sleep(600)\n",
        "memory-limit",
    ),
    "endless output": ("def f(x):\n    while True:\n        print('x' * 1_000_000)\n", "output-limit"),
    "endless report": (
        "import gc\ndef f(x):\n    for o in gc.get_objects():\n        if type(o).__name__ == 'Channel':\n"
        "            while True:\n                o.say('begin', test='x' * 4000)\n",
        "forged-result",
    ),
    "fork bomb": (
        "import os\ndef f(x):\n    while True:\n        try:\n            os.fork()\n"
        "        except OSError:\n            pass\n",
        "timeout",
    ),
    "segmentation fault": ("import ctypes\ndef f(x):\n    ctypes.string_at(0)\n", "crashed"),
    "endless recursion": ("def f(x):\n    return f(x)\n", "test-failed"),
}
# The bomb's 200 MB pieces take a while on a busy machine.
PATIENT = Limits(cpu_seconds=2, wall_seconds=6.0, outer_seconds=10.0)


@pytest.mark.parametrize("name", EXHAUSTING)
async def test_what_uses_too_much_is_ended_and_named(judged: Judge, name: str) -> None:
    source, rule = EXHAUSTING[name]
    verdict = await judged(source, TESTS, limits=PATIENT)
    assert not verdict.passed
    assert rules(verdict) == {rule}, verdict.findings


async def test_the_host_is_not_reached(judged: Judge, tmp_path: Path) -> None:
    """The program returns what it got hold of; the tests demand that it is nothing."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o644)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        source = (
            "import os, signal, socket\n"
            "def f(x):\n    got = []\n"
            "    def attempt(name, action):\n        try:\n            got.append((name, action()))\n"
            "        except OSError:\n            pass\n"
            f"    attempt('net', lambda: socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 1))\n"
            f"    attempt('file', lambda: open({str(secret)!r}).read())\n"
            f"    attempt('write', lambda: open({str(tmp_path / 'mark')!r}, 'w'))\n"
            f"    attempt('own', lambda: open({str(Path(__file__))!r}).read())\n"
            "    attempt('passwd', lambda: open('/etc/passwd').read())\n"
            f"    attempt('environ', lambda: open('/proc/{os.getpid()}/environ').read())\n"
            "    pids = []\n    try:\n        pids = os.listdir('/proc')\n    except OSError:\n        pass\n"
            "    for pid in pids:\n        if pid.isdigit() and int(pid) != os.getpid():\n"
            "            attempt('environ', lambda: open(f'/proc/{pid}/environ').read().count('MGE_') or open('/none'))\n"
            "    attempt('monitor', lambda: os.kill(os.getppid(), 0) if os.getppid() > 1 else open('/none'))\n"
            "    return got\n"
        )
        verdict = await judged(
            source,
            "from answer import f\ndef test_f():\n    assert f(1) == []\n",
        )
        assert verdict.passed, verdict.findings
        with pytest.raises(BlockingIOError):
            server.accept()
    assert not (tmp_path / "mark").exists()


async def test_a_message_cannot_steer_what_reads_it(judged: Judge) -> None:
    source = "def f(x):\n    raise ValueError('\\x1b[2J\\u202e' + 'x' * 100_000)\n"
    verdict = await judged(source, TESTS)
    [finding] = verdict.findings
    assert len(finding.message) <= 2000
    assert "\x1b" not in finding.message
    assert "\\x1b[2J\\u202e" in finding.message


async def test_an_exception_that_cannot_be_shown_is_still_a_failure(judged: Judge) -> None:
    source = (
        "class Bad(Exception):\n    def __str__(self):\n        raise SystemExit(0)\n    __repr__ = __str__\n"
        "def f(x):\n    raise Bad\n"
    )
    assert rules(await judged(source, TESTS)) == {"test-failed"}
