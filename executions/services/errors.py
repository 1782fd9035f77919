"""What services raise besides WrongState; edges translate these into exit codes and HTTP statuses."""

from __future__ import annotations

from collections.abc import Sequence


class NotFound(Exception):
    """There is no such thing, or this user may not see it."""


class InvalidSettings(ValueError):
    """Settings of an execution cannot be used; every problem is listed."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class StartRefused(Exception):
    """The execution could not do its work here; nothing was stored and nothing paid."""


class InvalidRequest(ValueError):
    """What was asked for does not fit the execution; every problem is listed, nothing was changed."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
