"""Puts exported files where people take them: a folder or a zip archive."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from executions.planning.places import quoted
from executions.planning.target_paths import unsafe

FILE_MODE = 0o644
FOLDER_MODE = 0o755
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The first moment a zip archive can name; archives of equal files are equal."""


class ExportRefused(Exception):
    """The files cannot or must not be written there; the message says what is in the way."""


def check_destination(directory: Path) -> None:
    """Raise ExportRefused unless an export could be written to `directory`: absent or empty, and writable.

    To be asked before an execution spends anything.
    """
    _existing(directory)
    above = next(path for path in (directory, *directory.absolute().parents) if os.path.lexists(path))
    if not above.is_dir():
        raise ExportRefused(f"{directory} cannot be made: {above} is not a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ExportRefused(f"{directory} cannot be written: no permission for {above}")


def write_export(files: Mapping[str, str], directory: Path) -> None:
    """Write files, by path from `directory`, which must be absent or empty. All of them or none.

    Lines end with LF, files have mode 644 and folders 755. Raises ExportRefused, and then leaves nothing.
    """
    _refuse_unsafe(files)
    exists = _existing(directory)
    # An existing folder is filled, not replaced: it may be a mount point, or somebody's working directory.
    beside = directory if exists else directory.absolute().parent
    try:
        beside.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".export-", dir=beside))
    except OSError as error:
        raise ExportRefused(f"{directory} cannot be written: {error.strerror or error}") from None
    try:
        for path, data in _encoded(files).items():
            _write(staging, path, data)
        staging.chmod(FOLDER_MODE)
        if exists:
            for entry in sorted(staging.iterdir()):
                entry.rename(directory / entry.name)
            staging.rmdir()
        else:
            staging.rename(directory)
    except OSError as error:
        raise ExportRefused(f"{directory} cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def zip_export(files: Mapping[str, str]) -> bytes:
    """A zip archive of the files: sorted, with fixed dates and modes, so that equal files give equal bytes.

    Raises ExportRefused for a path that would leave the folder it is unpacked in.
    """
    _refuse_unsafe(files)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in sorted(_encoded(files).items()):
            entry = zipfile.ZipInfo(path, LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, on every system: the modes below are its.
            entry.external_attr = (stat.S_IFREG | FILE_MODE) << 16
            archive.writestr(entry, data)
    return buffer.getvalue()


def as_delivered(files: Mapping[str, str]) -> dict[str, str]:
    """The texts as they are written: with LF at the ends of lines."""
    return {path: text.replace("\r\n", "\n").replace("\r", "\n") for path, text in files.items()}


def digest_of(files: Mapping[str, str]) -> str:
    """SHA-256 (hex) over paths and contents, byte for byte as they are written."""
    digest = sha256()
    for path, data in sorted(_encoded(files).items()):
        for part in (path.encode(), data):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _existing(directory: Path) -> bool:
    """Whether the folder is there, and then empty. Raises ExportRefused when anything is in the way."""
    try:
        if not os.path.lexists(directory):
            return False
        first = next(directory.iterdir(), None)
    except OSError as error:
        raise ExportRefused(f"{directory} cannot be used: {error.strerror or error}") from None
    if first is not None:
        raise ExportRefused(f"{directory} is not empty: it holds {quoted(first.name)}")
    return True


def _refuse_unsafe(files: Mapping[str, str]) -> None:
    for path in files:
        if message := unsafe(path):
            raise ExportRefused(f"the path {quoted(path)} {message}")


def _encoded(files: Mapping[str, str]) -> dict[str, bytes]:
    try:
        return {path: text.encode() for path, text in as_delivered(files).items()}
    except UnicodeEncodeError as error:
        raise ExportRefused(f"a file holds what is no character: {error.reason}") from None


def _write(root: Path, path: str, data: bytes) -> None:
    folder = root
    for part in path.split("/")[:-1]:
        folder = folder / part
        if not folder.is_dir():
            folder.mkdir()
            folder.chmod(FOLDER_MODE)
    target = root / path
    with target.open("xb") as file:
        file.write(data)
    target.chmod(FILE_MODE)
