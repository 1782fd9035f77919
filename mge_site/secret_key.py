"""The signing key: from the environment, else made once and kept in the data folder (mode 0600).

It matters more than in most sites: django-q2 unpickles queue rows signed with it.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from mge_site.env import BadSetting

PLACEHOLDERS = (
    "changeme",
    "change-me",
    "change_me",
    "insecure",
    "placeholder",
    "your-secret",
    "your_secret",
    "secret-key",
    "secret_key",
)
SHORTEST = 32


def check_key(key: str, source: str) -> str:
    """Return the key, or raise BadSetting when it is a known placeholder or too short to sign with."""
    lowered = key.lower()
    if any(word in lowered for word in PLACEHOLDERS):
        raise BadSetting(
            f"{source} looks like a placeholder; remove it (a key is made at first run) or set a random one"
        )
    if len(key) < SHORTEST or len(set(key)) < 8:
        raise BadSetting(f"{source} is too weak: at least {SHORTEST} random characters are needed")
    return key


def made_key(data_dir: Path) -> str:
    """Return the key of this data folder, making it when there is none yet. Safe when two processes start at once.

    Raises BadSetting when the folder cannot be used, or holds something else under the key's name.
    """
    file = data_dir / "secret-key"
    try:
        key = file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return _make(data_dir, file)
    except UnicodeDecodeError:
        key = ""
    except OSError as error:
        raise _unusable(data_dir, error) from error
    if len(key) < SHORTEST:
        raise BadSetting(f"{file} holds no usable key; remove the file and a new one is made")
    return key


def _make(data_dir: Path, file: Path) -> str:
    # Written aside and linked into place: a reader sees the whole key or none, and the first maker wins.
    draft = data_dir / f".secret-key.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as handle:
            handle.write(secrets.token_urlsafe(64))
        try:
            os.link(draft, file)
        except FileExistsError:
            return made_key(data_dir)
        finally:
            draft.unlink()
    except OSError as error:
        raise _unusable(data_dir, error) from error
    return made_key(data_dir)


def _unusable(data_dir: Path, error: OSError) -> BadSetting:
    return BadSetting(f"MGE_DATA_DIR: {data_dir} cannot be used: {error.strerror}")
