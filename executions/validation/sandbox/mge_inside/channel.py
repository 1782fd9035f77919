"""The test process's line to the monitor: one JSON object per line behind a nonce.

Anything else on the line, by whatever code in this process, voids the run; see `sandbox.reports`.
"""

from __future__ import annotations

import os
from _json import encode_basestring_ascii as _quoted

MAX_TEXT = 4000


class Channel:
    __slots__ = ("_descriptor", "_lines", "_nonce")

    def __init__(self, descriptor: int, nonce: str) -> None:
        self._descriptor = descriptor
        self._nonce = nonce
        self._lines = 0

    def say(
        self, kind: str, *, test: str = "", outcome: str = "", message: str = "", line: int = 0, at: int = 0
    ) -> None:
        """Reports one fact. `line` is a line of the target file, `at` one of the tests, 0 for none."""
        self._say(kind, test, outcome, message[:MAX_TEXT], line, at)

    def say_passed(self, test: str, held: str) -> None:
        """Reports a test that has passed, with the lines of its asserts that have held."""
        self._say("result", test, "passed", held, 0, 0)

    def say_value(self, test: str, name: str, text: str) -> None:
        """Reports what a comparison got; `text` is whole, or it could not be read."""
        self._say("value", test, name, text, 0, 0)

    def _say(self, kind: str, test: str, outcome: str, message: str, line: int, at: int) -> None:
        self._lines += 1
        self._write(
            f'{{"kind":{_quoted(kind)},"test":{_quoted(test[:MAX_TEXT])},"outcome":{_quoted(outcome)},'
            f'"message":{_quoted(message)},"line":{line:d},"at":{at:d}}}'
        )

    def finish(self) -> None:
        """The epilogue; nothing may follow it. Its count lets the reader see a line that went missing."""
        self._write(
            f'{{"kind":"finished","test":"","outcome":"","message":"","line":{self._lines:d},"at":0}}'
        )
        os.close(self._descriptor)

    def _write(self, text: str) -> None:
        data = f"{self._nonce} {text}\n".encode()
        while data:
            data = data[os.write(self._descriptor, data) :]
