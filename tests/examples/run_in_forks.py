"""Runs pytest once for each job, in a fork that has pytest imported already: a tenth of a second, not a half.

    python run_in_forks.py < jobs.json > outcomes.json

A job is {"id", "files": {path: text}, "tests": [module text, ...]}; the outcomes map its id to the exit
status of pytest and what it printed. Each job gets an empty folder, which is also its working directory.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TypedDict

import pytest


class Job(TypedDict):
    id: str
    files: dict[str, str]
    tests: list[str]


def run(job: Job) -> tuple[int, str]:
    with tempfile.TemporaryDirectory(prefix="mge-sample-") as folder:
        tests = {f"test_sample_{number}.py": text for number, text in enumerate(job["tests"], start=1)}
        # An ini file of its own keeps settings of folders further up out of the run.
        for path, text in {**job["files"], **tests, "pytest.ini": "[pytest]\n"}.items():
            file = Path(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        output = Path(folder, "output.txt")
        child = os.fork()
        if child == 0:
            status = 70  # what the parent sees when not even pytest could say how it went
            try:
                written = os.open(output, os.O_CREAT | os.O_WRONLY)
                os.dup2(written, 1)
                os.dup2(written, 2)
                os.chdir(folder)
                sys.path.insert(0, folder)
                status = int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests]))
                sys.stdout.flush()
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return status, output.read_text(encoding="utf-8", errors="replace")


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    json.dump({job["id"]: run(job) for job in json.load(sys.stdin)}, sys.stdout)
