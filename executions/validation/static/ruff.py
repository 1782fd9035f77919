"""ruff over many files at once. Only rules that tell of a mistake; none about style."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from executions.validation.static.checker_process import CheckerBroke, program
from executions.validation.static.piece import Piece, Remark

RULES = (
    "F4,F5,F6,F7,F8,"
    "B002,B003,B005,B006,B012,B015,B016,B018,B020,B021,B022,B023,B025,B029,B030,B031,B032,B035,B039,"
    "PLE,PLW0129,PLW0133,PLW0245,PLW1501,RUF006,RUF008,ASYNC2,"
    "S113,S323,S324,S501,S506,S602"
)
LEFT_OUT = "F403,F405,F541,PLE25"
"""Star imports are no mistake by themselves, nor are f-strings without a field; characters are the text gate's business."""


VERSION = "py314"
"""The newest: the sandbox's Python may be newer than ours, and what a newer one knows must not count as undefined."""


class Ruff:
    """How one process is asked about many pieces."""

    name = "lint"
    ends_well = frozenset({0, 1})
    environment: Mapping[str, str] = {"RAYON_NUM_THREADS": "1"}
    """One thread: with a few hundred lines the others cost more than they do."""

    def groups(self, pieces: Sequence[Piece]) -> list[list[int]]:
        """Each file is looked at by itself, so all may lie side by side."""
        return [list(range(len(pieces)))]

    def files(self, pieces: Sequence[Piece]) -> dict[str, str]:
        return {f"p{number}.py": piece.text for number, piece in enumerate(pieces)}

    def command(self, pieces: Sequence[Piece]) -> list[str]:
        # An answer must not switch the rules off by a comment.
        return [
            *(
                program("ruff"),
                "check",
                "--isolated",
                "--no-cache",
                "--no-respect-gitignore",
                "--ignore-noqa",
            ),
            *("--quiet", "--no-fix", "--output-format", "json", "--target-version", VERSION),
            *("--select", RULES, "--ignore", LEFT_OUT, "."),
        ]

    def read(self, output: bytes, pieces: Sequence[Piece]) -> list[tuple[Remark, ...]]:
        """Remarks by piece. Raises CheckerBroke when it is not what ruff says."""
        found: list[list[Remark]] = [[] for _ in pieces]
        try:
            for said in json.loads(output):
                name = str(said["filename"]).replace("\\", "/").rpartition("/")[2]
                number = int(name.removeprefix("p").removesuffix(".py"))
                place = said["location"]
                remark = Remark(
                    str(said["code"] or "syntax"),
                    str(said["message"]),
                    int(place["row"]),
                    int(place["column"]),
                )
                found[number].append(remark)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise CheckerBroke(f"ruff says what cannot be read: {error}") from error
        return [tuple(remarks) for remarks in found]
