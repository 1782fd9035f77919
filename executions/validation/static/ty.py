"""ty over many files at once, each with the earlier files that it may import."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence

from executions.validation.static.checker_process import CheckerBroke, program
from executions.validation.static.piece import Piece, Remark

_SETTINGS = """\
[environment]
root = ["."]
[rules]
import-not-found = "ignore"
[src]
respect-ignore-files = false
"""
"""A file of its own also keeps those of the folders above out. What is installed where the code will run is not known here,
so a module that is not found says nothing."""


class Ty:
    """How one process is asked about many pieces."""

    name = "types"
    ends_well = frozenset({0, 1})
    environment: Mapping[str, str] = {"TY_MAX_PARALLELISM": "1"}

    def groups(self, pieces: Sequence[Piece]) -> list[list[int]]:
        """Pieces whose earlier files can lie in one folder: equal where they have the same path.

        A piece may then see files that it does not build on. It cannot rely on them: its tests run without. Files that hide
        a module of Python's own would bend what is said of all, so such a piece is asked about alone.
        """
        groups: list[tuple[list[int], dict[str, str]]] = []
        alone: list[list[int]] = []
        for number, piece in enumerate(pieces):
            files = _importable(piece.files)
            if any(path.split("/")[0].removesuffix(".py") in sys.stdlib_module_names for path in files):
                alone.append([number])
                continue
            for members, held in groups:
                if all(held.get(path, text) == text for path, text in files.items()):
                    members.append(number)
                    held.update(files)
                    break
            else:
                groups.append(([number], files))
        return [members for members, _ in groups] + alone

    def files(self, pieces: Sequence[Piece]) -> dict[str, str]:
        files = {"ty.toml": _SETTINGS}
        for piece in pieces:
            files |= _importable(piece.files)
        for number, piece in enumerate(pieces):
            files[_place(number, piece)] = piece.text
        return files

    def command(self, pieces: Sequence[Piece]) -> list[str]:
        return [
            *(program("ty"), "check", "--no-progress", "--exit-zero", "--output-format", "gitlab"),
            *("--python-version", f"{sys.version_info.major}.{sys.version_info.minor}"),
            *(_place(number, piece) for number, piece in enumerate(pieces)),
        ]

    def read(self, output: bytes, pieces: Sequence[Piece]) -> list[tuple[Remark, ...]]:
        """Remarks by piece. Raises CheckerBroke when it is not what ty says."""
        numbers = {_place(number, piece): number for number, piece in enumerate(pieces)}
        found: list[list[Remark]] = [[] for _ in pieces]
        try:
            for said in json.loads(output) if output.strip() else []:
                rule, begin = str(said["check_name"]), said["location"]["positions"]["begin"]
                number = numbers.get(str(said["location"]["path"]).replace("\\", "/"))
                message = str(said["description"]).removeprefix(f"{rule}: ")
                if number is not None:
                    found[number].append(Remark(rule, message, int(begin["line"]), int(begin["column"])))
        except (ValueError, KeyError, TypeError) as error:
            raise CheckerBroke(f"ty says what cannot be read: {error}") from error
        return [tuple(remarks) for remarks in found]


def _importable(files: Mapping[str, str]) -> dict[str, str]:
    return {path: text for path, text in files.items() if path.endswith(".py")}


def _place(number: int, piece: Piece) -> str:
    """Beside the target file, so that relative imports mean the same; by a name that no other file has."""
    folder, slash, _ = piece.target_path.rpartition("/")
    return f"{folder}{slash}mge_answer_{number}.py"
