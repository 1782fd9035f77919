"""The test process's line to the monitor: one JSON object per line behind a nonce.

Anything else on the line, by whatever code in this process, voids the run; see `sandbox.reports`.
"""

from __future__ import annotations

import os
from _json import encode_basestring_ascii as _quoted

MAX_TEXT = 4000


class Channel:
    def __init__(self, descriptor: int, nonce: str) -> None:
        self._descriptor = descriptor
        self._nonce = nonce
        self._lines = 0

    def say(self, kind: str, *, test: str = "", outcome: str = "", message: str = "", line: int = 0) -> None:
        """Reports one fact. `line` is a line of the target file, 0 for none."""
        self._lines += 1
        self._write(
            f'{{"kind":{_quoted(kind)},"test":{_quoted(test[:MAX_TEXT])},"outcome":{_quoted(outcome)},'
            f'"message":{_quoted(message[:MAX_TEXT])},"line":{line:d}}}'
        )

    def finish(self) -> None:
        """The epilogue; nothing may follow it. Its count lets the reader see a line that went missing."""
        self._write(f'{{"kind":"finished","test":"","outcome":"","message":"","line":{self._lines:d}}}')
        os.close(self._descriptor)

    def _write(self, text: str) -> None:
        data = f"{self._nonce} {text}\n".encode()
        while data:
            data = data[os.write(self._descriptor, data) :]
