"""All that the scripted model knows, kept up to date with the files it comes from.

Files and folders are named at the start; with a list file (one path a line, see `embedded.register_answers`)
more become known while the server runs. The list is looked at with every request, the files themselves when
the list changed or a request's atom is unknown: a file is read once, and again only when its content changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from executions.scripted_model.answers import (
    AnswersError,
    is_near_miss_file,
    plan_files_in,
    read_atoms,
    sibling_near_misses,
)
from executions.scripted_model.placement import AtomScript
from executions.scripted_model.recognition import TestsIndex

Stamp = tuple[tuple[int, int] | None, ...]


@dataclass(slots=True)
class _Source:
    """One plan file with the near-miss files that go with it, and what was read from them."""

    plan_file: Path
    near_miss_files: tuple[Path, ...]
    stamp: Stamp
    scripts: tuple[AtomScript, ...]


class Library:
    """The known atoms, findable by their tests."""

    def __init__(
        self, *, share: float, seed: int, list_file: Path | None = None, complain: Callable[[str], None]
    ) -> None:
        """`complain` is told, in one line, of a listed file that cannot be read; it is left out."""
        self._share = share
        self._seed = seed
        self._list_file = list_file
        self._list_stamp: Stamp = (None,)
        self._complain = complain
        self._index = TestsIndex()
        self._sources: dict[Path, _Source] = {}
        self._given: dict[Path, tuple[Path, ...]] = {}

    def load(self, answers: Sequence[Path], near_misses: Sequence[Path]) -> None:
        """Reads the files and folders named at the start.

        A folder brings its plan files with their sibling near misses. A file named by itself uses the files
        of `near_misses`: one called like its sibling belongs to that plan file only, any other to all plan
        files, by atom key. Raises `AnswersError`; a file of a folder that is no plan is passed over.
        """
        for path in near_misses:
            if not path.is_file():
                raise AnswersError(f"{path}: no such file")
        resolved = [path.resolve() for path in near_misses]
        siblings = {sibling_near_misses(path.resolve()) for path in answers}
        general = tuple(path for path in resolved if path not in siblings)
        for path in (path.resolve() for path in answers):
            if path.is_dir():
                for plan_file in plan_files_in(path):
                    near_miss_files = (*_sibling(plan_file), *general)
                    try:
                        self._read(plan_file, near_miss_files)
                    except AnswersError as error:
                        self._complain(f"passed over: {error}")
                    else:
                        self._given[plan_file] = near_miss_files
            else:
                own = tuple(file for file in resolved if file == sibling_near_misses(path))
                self._given[path] = (*own, *general)
                self._read(path, self._given[path])
        self._look_at_files()

    def find(self, text: str) -> AtomScript | None:
        """The script for the atom whose tests stand in `text`, newer files included where they may help."""
        if self._list_file is not None and _stamp((self._list_file,)) != self._list_stamp:
            self._look_at_files()
        script = self._index.find(text)
        if script is None and self._list_file is not None and self._look_at_files():
            script = self._index.find(text)
        return script

    def scripts(self) -> Iterator[AtomScript]:
        for source in self._sources.values():
            yield from source.scripts

    def __len__(self) -> int:
        return len(self._index)

    def _look_at_files(self) -> bool:
        """Whether anything was read anew."""
        wanted = dict(self._given)
        for plan_file in self._listed():
            wanted.setdefault(plan_file, _sibling(plan_file))
        changed = [self._read_if_possible(*pair) for pair in wanted.items()]
        return any(changed)

    def _listed(self) -> list[Path]:
        if self._list_file is None:
            return []
        self._list_stamp = _stamp((self._list_file,))
        try:
            lines = self._list_file.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return []
        return [Path(line) for line in dict.fromkeys(lines) if line]

    def _read_if_possible(self, plan_file: Path, near_miss_files: tuple[Path, ...]) -> bool:
        try:
            return self._read(plan_file, near_miss_files)
        except AnswersError as error:
            self._complain(f"left out: {error}")
            # Remembered as it is, or every further request would read and complain again.
            self._replace(_Source(plan_file, near_miss_files, _stamp((plan_file, *near_miss_files)), ()))
            return True

    def _read(self, plan_file: Path, near_miss_files: tuple[Path, ...]) -> bool:
        if is_near_miss_file(plan_file):
            raise AnswersError(f"{plan_file}: is a file of near misses, not of plans")
        stamp = _stamp((plan_file, *near_miss_files))
        known = self._sources.get(plan_file)
        if known is not None and (known.near_miss_files, known.stamp) == (near_miss_files, stamp):
            return False
        atoms = read_atoms(plan_file, near_miss_files, share=self._share, seed=self._seed)
        kept = {script.atom: script for script in known.scripts} if known else {}
        scripts = tuple(kept.get(atom) or AtomScript(atom) for atom in atoms)
        self._replace(_Source(plan_file, near_miss_files, stamp, scripts))
        return True

    def _replace(self, source: _Source) -> None:
        known = self._sources.pop(source.plan_file, None)
        if known is not None:
            self._index.remove(known.scripts)
        self._index.add(source.scripts)
        self._sources[source.plan_file] = source


def _sibling(plan_file: Path) -> tuple[Path, ...]:
    path = sibling_near_misses(plan_file)
    return (path,) if path.is_file() else ()


def _stamp(paths: Sequence[Path]) -> Stamp:
    """What changes when a file does; None for one that is not there."""
    stamp: list[tuple[int, int] | None] = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            stamp.append(None)
        else:
            stamp.append((status.st_mtime_ns, status.st_size))
    return tuple(stamp)
