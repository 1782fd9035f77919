"""The folder that a run has on the host where it has no file system of its own."""

from __future__ import annotations

import errno
import itertools
import os

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def usage(folder: str, *, most_entries: int) -> tuple[int, int]:
    """Bytes and entries below `folder`; counting ends at `most_entries`, for there may be any number of them.

    Folders so deep that they cannot be named count as that many.
    """
    size = entries = 0
    pending = [folder]
    while pending and entries < most_entries:
        try:
            found = list(os.scandir(pending.pop()))
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return size, most_entries
            continue  # gone, or made without the right to enter it, by which it is empty
        for entry in found:
            entries += 1
            try:
                size += entry.stat(follow_symlinks=False).st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    size += 4096
                    pending.append(entry.path)
            except OSError:
                continue
    return size, entries


def empty_room(room: str) -> None:
    """Removes the folder of a run whose processes are all gone. Raises OSError.

    Of any depth, which is why folders are moved up before they are emptied: paths may be too long to be named, and
    descriptors are few.
    """
    numbers = itertools.count()
    top = os.open(room, _OPEN)
    try:
        pending = [name for name in os.listdir(top) if not _unlinked(name, top)]
        while pending:
            name = pending.pop()
            os.chmod(name, 0o700, dir_fd=top)  # a program may have locked us out; it is no link
            folder = os.open(name, _OPEN, dir_fd=top)
            try:
                for inner in os.listdir(folder):
                    if not _unlinked(inner, folder):
                        moved = f"\uffffroom{next(numbers)}"
                        os.chmod(inner, 0o700, dir_fd=folder)  # to be moved, a folder must be writable
                        os.rename(inner, moved, src_dir_fd=folder, dst_dir_fd=top)
                        pending.append(moved)
            finally:
                os.close(folder)
            os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(room)


def _unlinked(name: str, folder: int) -> bool:
    """Removes it unless it is a folder."""
    try:
        os.unlink(name, dir_fd=folder)
    except (IsADirectoryError, PermissionError):
        return False
    return True
