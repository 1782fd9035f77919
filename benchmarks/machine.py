"""What the figures were made on, and how busy it was with other work."""

from __future__ import annotations

import os
import platform
import resource
import time
from pathlib import Path
from statistics import median

from benchmarks.process_trees import TICKS

REST_S = 0.5
PAGE = 4096
PAGES = 256


def description() -> dict[str, str | int | float]:
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "rested_page_us": rested_page_us(),
    }


def rested_page_us() -> float:
    """CPU µs for touching a page of memory again after half a second of rest, median of 5.

    Where it is large, work that comes in small pieces costs many times what it does in one go, whatever the program.
    """
    memory = bytearray(os.urandom(PAGE) * PAGES)
    found = []
    for _ in range(5):
        time.sleep(REST_S)
        began = time.thread_time()
        for place in range(0, len(memory), PAGE):
            memory[place] ^= 1
        found.append(1e6 * (time.thread_time() - began) / PAGES)
    return round(median(found), 2)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def load() -> float:
    """Processes that ran or waited for a core, on average over the last minute."""
    return round(os.getloadavg()[0], 2)


def busy_s() -> float:
    """CPU seconds of the whole machine since its start, time stolen by its host included."""
    fields = Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _waiting, hard, soft, stolen = map(int, fields)
    return (user + nice + system + hard + soft + stolen) / TICKS


def own_s() -> float:
    """CPU seconds of this process and the children that it has waited for."""
    both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)
