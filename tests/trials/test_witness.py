"""The witness can say no: each kind of trace that a program might leave is noticed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.ground import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads Linux's /proc")

DEEDS = {
    "nothing": ("pass", ""),
    "a file in the bait folder": ("open(f'{facts.folder}/new', 'w').close()", "new: "),
    "a file in the temporary folder": ("(temporary / 'new').touch()", "new: "),
    "a file with the token at home": (
        "open(f'{facts.home}/{facts.token}', 'w').close()",
        "new: ",
    ),
    "another mode": ("os.chmod(f'{facts.folder}/mark', 0o600)", "changed: "),
    "another time": ("os.utime(f'{facts.folder}/mark', (1, 1))", "changed: "),
    "a removed file": ("os.unlink(f'{facts.folder}/private')", "gone: "),
    "a process that lost its parents": (
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        os.execv('/bin/sleep', ['sleep', '5'])\n"
        "    os._exit(0)\n"
        "os.waitpid(pid, 0)",
        "1 processes are left: ",
    ),
    "a call by TCP": ("socket.create_connection(('127.0.0.1', facts.tcp)).close()", "TCP"),
    "a datagram": (
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', facts.udp))",
        "UDP",
    ),
    "a call by path": ("s = socket.socket(socket.AF_UNIX); s.connect(facts.unix_path)", "by path"),
    "a call by abstract name": (
        "s = socket.socket(socket.AF_UNIX); s.connect('\\0' + facts.unix_abstract)",
        "abstract",
    ),
    "a listener": (
        "s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        "s.bind(('0.0.0.0', facts.closed_port)); s.listen(); time.sleep(0.5)",
        "listens",
    ),
    "a secret in the verdict": ("told = open(f'{facts.folder}/private').read()", "the verdict tells"),
    "the secret of the environment": (
        "told = open('/proc/self/environ').read()",
        "the verdict tells canary-environment",
    ),
    "memory of the caller": ("kept = bytearray(b'x') * (100 << 20)", "the caller grew"),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_the_witness_notices(deed: str, tmp_path: Path) -> None:
    """In a process of its own, since the witness adopts whatever loses its parent there."""
    action, expected = DEEDS[deed]
    program = textwrap.dedent("""
        import os, socket, sys, time
        from pathlib import Path
        from trials.hostile.bait import laid_out
        from trials.hostile.witness import Witness

        temporary = Path(os.environ["TMPDIR"])
        with laid_out(Path(sys.argv[1])) as bait:
            facts, told = bait.facts, ""
            witness = Witness(bait, temporary, temporary, grace=0.2)
            witness.learn()
            witness.begin()
            exec(sys.argv[2])
            print(witness.end(told))
    """)
    (tmp_path / "home").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program, str(ROOT), action],
        env={
            "PATH": os.environ["PATH"],
            "TMPDIR": str(tmp_path),
            "HOME": str(tmp_path / "home"),
            "PYTHONPATH": str(ROOT),
            "MGE_TRIAL_CANARY": "canary-environment-test",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    if expected:
        assert expected in done.stdout
    else:
        assert done.stdout == "[]\n"


def test_bait_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trials.hostile.bait import laid_out

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with laid_out(ROOT) as bait:
        assert Path(bait.facts.folder).is_dir()
        port = bait.facts.tcp
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)
