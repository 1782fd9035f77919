"""Parses answers without letting one of them take this process down."""

from __future__ import annotations

import ast
import subprocess
import sys
import warnings

from executions.findings import Finding, Severity
from executions.python_syntax import tree_of

# By its documentation ast.parse may crash the interpreter on nested input. The tokenizer stops at 200
# brackets and the parser at 6,000 steps; what remains are long operator chains, and those need many bytes.
# Below this size even a chain over the whole text ends in a clean error (measured up to 60,000 operators).
SMALL = 16 * 1024
"""Characters of a text that this process parses by itself."""
_PARSE_SECONDS = 5

_TRY_TO_PARSE = """
import os, sys, threading, warnings
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, ValueError, OSError):
    pass  # not every system has it; the clock outside remains
warnings.simplefilter("ignore")
text = sys.stdin.buffer.read().decode()
def attempt():
    try:
        compile(text, "answer", "exec", dont_inherit=True)
    except SyntaxError:
        pass
    except BaseException:
        os._exit(1)
    os._exit(0)
# Less stack than any thread of the parent has: what is survived here is survived there.
threading.stack_size(1 << 20)
thread = threading.Thread(target=attempt)
thread.start()
thread.join()
os._exit(1)
"""


def parse(text: str) -> ast.Module | Finding:
    """The syntax tree of `text`, or the finding that rejects it (`syntax-error`, `cannot-be-parsed`).

    A text above 16 kB is first tried by a child interpreter, so that a crash is the child's.
    """
    if len(text) > SMALL and not _child_survives(text):
        return Finding(Severity.CRITICAL, "cannot-be-parsed", "is nested too deeply to be parsed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = tree_of(text)
            compile(tree, "answer", "exec", dont_inherit=True)
    except SyntaxError as error:
        shown = f"{type(error).__name__}: {error.msg}"
        if error.text:
            shown += f": {error.text.strip()[:120]}"
        return Finding(Severity.CRITICAL, "syntax-error", shown, error.lineno)
    except (RecursionError, MemoryError, ValueError) as error:
        return Finding(Severity.CRITICAL, "cannot-be-parsed", f"cannot be parsed: {type(error).__name__}")
    return tree


def _child_survives(text: str) -> bool:
    try:
        child = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _TRY_TO_PARSE],
            input=text.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            timeout=_PARSE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return child.returncode == 0
