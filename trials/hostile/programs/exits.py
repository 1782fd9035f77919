"""Answers that end the process before a test can fail, in the hope that exit status 0 will do."""

from __future__ import annotations

from trials.hostile.program import WRONG, cheat

PROGRAMS = [
    cheat("sys.exit at import", f"import sys\nsys.exit(0)\n{WRONG}", "exit-at-import"),
    cheat("exit() at import", f"exit(0)\n{WRONG}", "exit-at-import"),
    cheat("SystemExit raised at import", f"raise SystemExit\n{WRONG}", "exit-at-import"),
    cheat("os._exit at import", f"import os\nos._exit(0)\n{WRONG}", "exit-at-import"),
    cheat("os._exit by libc", f"import ctypes\nctypes.CDLL(None)._exit(0)\n{WRONG}", "exit-at-import"),
    cheat("sys.exit in the call", "import sys\ndef f(x):\n    sys.exit(0)\n", "exit-in-test"),
    cheat("os._exit in the call", "import os\ndef f(x):\n    os._exit(0)\n", "exit-in-test"),
    cheat(
        "another program takes over",
        "import os\ndef f(x):\n    os.execv('/usr/bin/true', ['true'])\n",
        "exit-in-test",
        "test-failed",  # not there to be executed
    ),
    cheat(
        "another Python takes over and says that all passed",
        "import os, sys\ndef f(x):\n    code = '''import os\nfor fd in range(3, 64):\n    try:\n"
        '        os.write(fd, b"{}")\n'
        "    except OSError:\n        pass\n'''\n"
        "    os.execv(sys.executable, [sys.executable, '-S', '-c', code])\n",
        "exit-in-test",
        "forged-result",
        "test-failed",
    ),
    cheat(
        "exit status by atexit", f"import atexit, os\natexit.register(os._exit, 0)\n{WRONG}", "test-failed"
    ),
    cheat(
        "a thread ends the process",
        "import os, threading, time\ndef f(x):\n    threading.Thread(target=os._exit, args=(0,)).start()\n"
        "    time.sleep(30)\n",
        "exit-in-test",
    ),
    cheat(
        "a timer ends the process at the first test",
        "import os, signal\nsignal.signal(signal.SIGALRM, lambda *a: os._exit(0))\n"
        f"signal.setitimer(signal.ITIMER_REAL, 0.001)\nimport time\ntime.sleep(0.1)\n{WRONG}",
        "exit-at-import",
    ),
    cheat(
        "the parent ends, a child goes on",
        "import os\ndef f(x):\n    if os.fork():\n        os._exit(0)\n    return 'wrong'\n",
        "exit-in-test",
        "exit-before-end",
        "test-failed",
        "forged-result",
    ),
    cheat(
        "kills itself", "import os, signal\ndef f(x):\n    os.kill(os.getpid(), signal.SIGKILL)\n",
        "crashed", "memory-limit", "exit-in-test",
    ),
    cheat(
        "skips itself", "import unittest\ndef f(x):\n    raise unittest.SkipTest('later')\n", "test-skipped"
    ),
    cheat("ends by KeyboardInterrupt", "def f(x):\n    raise KeyboardInterrupt\n", "test-failed", "test-not-run", "exit-in-test", "not-trustworthy"),
    cheat("ends by GeneratorExit", "def f(x):\n    raise GeneratorExit\n", "test-failed"),
    cheat("an exception that cannot be shown", "class Bad(Exception):\n    def __str__(self):\n        raise SystemExit(0)\n    __repr__ = __str__\ndef f(x):\n    raise Bad\n", "test-failed"),
    cheat("pytest.skip in the call", "def f(x):\n    import pytest\n    pytest.skip('later')\n", "test-skipped", runners=("pytest",)),
    cheat("pytest.skip at import", f"import pytest\npytest.skip('later', allow_module_level=True)\n{WRONG}", "test-skipped", "import-failed", "exit-at-import", runners=("pytest",)),
    cheat("pytest.xfail in the call", "def f(x):\n    import pytest\n    pytest.xfail('known')\n", "forged-result", "test-skipped", "test-failed", runners=("pytest",)),
    cheat("pytest.exit in the call", "def f(x):\n    import pytest\n    pytest.exit('enough', 0)\n", "test-failed", "test-not-run", "exit-in-test", "exit-before-end", "not-trustworthy", runners=("pytest",)),
]  # fmt: skip
