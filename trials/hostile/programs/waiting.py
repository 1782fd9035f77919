"""Answers that use no processor and never come back; only a clock ends them."""

from __future__ import annotations

from trials.hostile.program import exhausts

PROGRAMS = [
    exhausts("sleep", "import time\ndef f(x):\n    time.sleep(600)\n", "timeout"),
    exhausts("sleep at import", "import time\ntime.sleep(600)\ndef f(x): pass\n", "timeout"),
    exhausts("a lock", "import threading\ndef f(x):\n    l = threading.Lock()\n    l.acquire()\n    l.acquire()\n", "timeout"),
    exhausts("accept", "import socket\ndef f(x):\n    a, b = socket.socketpair()\n    a.recv(1)\n", "timeout"),
    exhausts("a child", "import os, time\ndef f(x):\n    if os.fork() == 0:\n        time.sleep(600)\n    os.wait()\n", "timeout"),
    exhausts("reading stdin of a pipe", "import os\ndef f(x):\n    r, w = os.pipe()\n    os.read(r, 1)\n", "timeout"),
    exhausts("a fifo", "import os\ndef f(x):\n    p = os.environ['TMPDIR'] + '/p'\n    os.mkfifo(p)\n    open(p).read()\n", "timeout"),
    exhausts(
        "signals ignored",
        "import signal, time\nfor s in range(1, 65):\n    try:\n        signal.signal(s, signal.SIG_IGN)\n    except (OSError, ValueError):\n        pass\n"
        "def f(x):\n    time.sleep(600)\n",
        "timeout",
    ),
    exhausts("an endless generator", "import itertools\ndef f(x):\n    return sum(1 for _ in itertools.count())\n", "timeout"),
    exhausts("a catastrophic regular expression", "import re\ndef f(x):\n    return re.match('(a*)*$', 'a' * 40 + 'b')\n", "timeout"),
    exhausts("stops itself", "import os, signal\ndef f(x):\n    os.kill(os.getpid(), signal.SIGSTOP)\n", "timeout"),
    exhausts("waits in an atexit hook behind sys.exit", "import atexit, sys, time\natexit.register(time.sleep, 600)\ndef f(x):\n    sys.exit(0)\n", "exit-in-test", "timeout"),
    exhausts("waits in __del__", "import time\nclass D:\n    def __del__(self):\n        time.sleep(600)\ndef f(x):\n    D()\n    return 2\n", "timeout"),
    exhausts("waits in __repr__", "import time\nclass D:\n    def __repr__(self):\n        time.sleep(600)\ndef f(x):\n    return D()\n", "timeout"),
    exhausts("waits in __eq__", "import time\nclass D:\n    def __eq__(self, other):\n        time.sleep(600)\ndef f(x):\n    return D()\n", "timeout"),
]  # fmt: skip
