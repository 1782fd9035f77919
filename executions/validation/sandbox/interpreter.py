"""The Pythons that may run generated code; which one does is found out by trying (`self_test`)."""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# pygments and packaging are imported by pytest itself. Nothing else of our environment is ever shown.
_PACKAGES = ("pytest", "_pytest", "py", "pluggy", "iniconfig", "packaging", "pygments")
_LEFT_OUT = (
    "test",
    "tests",
    "site-packages",
    "dist-packages",
    "idlelib",
    "tkinter",
    "ensurepip",
    "turtledemo",
)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """One Python and the tree it needs."""

    executable: Path
    prefix: Path

    @property
    def trees(self) -> tuple[Path, ...]:
        """What must be readable for it to start and to import its standard library."""
        return (self.executable, self.prefix / "lib")

    def __str__(self) -> str:
        return str(self.executable)


def our_interpreter() -> Interpreter:
    """The real binary behind this process: no virtual environment, no pyenv shim."""
    base = Path(getattr(sys, "_base_executable", "") or sys.executable)
    return Interpreter(base.resolve(), Path(sys.base_prefix).resolve())


def candidates(*, others_must_read: bool, data_dir: Path) -> Iterator[Interpreter]:
    """Ours first; where another uid must read it, a system Python, at last a copy in the data directory."""
    ours = our_interpreter()
    if not others_must_read:
        yield ours
        return
    if readable_by_all(ours.executable):
        yield ours
    minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for name in (f"python{minor}", "python3"):
        for folder in ("/usr/bin", "/usr/local/bin"):
            system = _system_interpreter(Path(folder) / name)
            if system is not None and system != ours:
                yield system
    copy = _copied(ours, data_dir / "sandbox" / f"python-{minor}")
    if copy is not None:
        yield copy


def readable_by_all(path: Path) -> bool:
    """Whether every uid may reach and read `path`, by the modes of it and of the folders above."""
    try:
        if not path.stat().st_mode & stat.S_IROTH:
            return False
        return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)
    except OSError:
        return False


def _system_interpreter(path: Path) -> Interpreter | None:
    if not path.exists() or not readable_by_all(path):
        return None
    question = "import sys; print(sys.version_info >= (3, 11), sys.base_prefix, sep='|')"
    try:
        answer = subprocess.run(
            [path, "-I", "-S", "-c", question], capture_output=True, text=True, env={}, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    recent, _, prefix = answer.stdout.strip().partition("|")
    return Interpreter(path.resolve(), Path(prefix)) if recent == "True" else None


def _copied(ours: Interpreter, folder: Path) -> Interpreter | None:
    """A copy of our Python and its standard library that every uid may read; made once."""
    if not readable_by_all(folder.parent.parent):
        return None
    copy = Interpreter(folder / "bin" / ours.executable.name, folder)
    if copy.executable.exists():
        return copy
    making = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        (making / "bin").mkdir(parents=True)
        (making / "lib").mkdir()
        shutil.copy2(ours.executable, making / "bin" / ours.executable.name)
        for library in (ours.prefix / "lib").glob("libpython*.so*"):
            shutil.copy2(library, making / "lib" / library.name)
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        shutil.copytree(
            ours.prefix / "lib" / version,
            making / "lib" / version,
            ignore=shutil.ignore_patterns(*_LEFT_OUT, "config-*"),
        )
        _open_to_all(making)
        folder.parent.chmod(0o755)
        making.rename(folder)
    except OSError:
        shutil.rmtree(making, ignore_errors=True)
        return copy if copy.executable.exists() else None
    return copy


def _open_to_all(folder: Path) -> None:
    for where, _, files in os.walk(folder):
        os.chmod(where, 0o755)  # noqa: S103 - the run's own uid must read it
        for name in files:
            path = Path(where) / name
            path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)


def pytest_packages() -> dict[str, Path]:
    """Folders or files of pytest and what it imports, by the name they must have on the import path."""
    found = {}
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        place = origin.parent if origin.name == "__init__.py" else origin
        found[place.name] = place
    return found


def shared_copy(sources: dict[str, Path], folder: Path) -> Path:
    """The given folders and files side by side in `folder`, readable by all; copied anew when they changed.

    Raises OSError when `folder` cannot be written or is somebody else's.
    """
    if folder.exists() and (folder.is_symlink() or folder.stat().st_uid != os.geteuid()):
        raise PermissionError(f"{folder} belongs to somebody else")
    mark = "\n".join(f"{name} {path} {path.stat().st_mtime_ns}" for name, path in sorted(sources.items()))
    known = folder / "copied-from"
    if known.exists() and known.read_text() == mark:
        return folder
    making = folder.with_name(f"{folder.name}.{os.getpid()}")
    making.mkdir(parents=True)
    for name, path in sources.items():
        if path.is_dir():
            shutil.copytree(path, making / name)
        else:
            shutil.copy2(path, making / name)
    (making / "copied-from").write_text(mark)
    _open_to_all(making)
    folder.parent.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        making.rename(folder)
    except OSError:  # another process was quicker
        shutil.rmtree(making)
    return folder
