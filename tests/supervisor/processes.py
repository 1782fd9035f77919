"""Looking at processes from outside."""

from __future__ import annotations

from pathlib import Path

from executions.scripted_model.processes import WatchedProcess


def alive(pid: int) -> bool:
    """A zombie has ended, too."""
    return WatchedProcess.now(pid).lives()


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def of_data_dir(data_dir: Path) -> dict[int, str]:
    """Command lines of the living processes that were started for a data folder."""
    mine = f"MGE_DATA_DIR={data_dir}".encode()
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mine in (entry / "environ").read_bytes().split(b"\0") and alive(int(entry.name)):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


def children_of(pid: int) -> set[int]:
    """The living processes whose parent this one is."""
    found = {int(entry.name) for entry in Path("/proc").glob("[0-9]*") if parent_of(int(entry.name)) == pid}
    return {one for one in found if alive(one)}
