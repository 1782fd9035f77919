"""Files that cannot be plans: a clear message, exit 2, nothing stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.plans import adder, plan
from tests.product import Product


def _as_json(*atoms: dict[str, object]) -> bytes:
    return json.dumps(plan(*atoms)).encode()


def _bomb() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, 12)]
    return "\n".join(lines).encode()


CASES: dict[str, tuple[Callable[[], bytes], str]] = {
    "cycle": (lambda: _as_json(adder("a", depends_on=["b"]), adder("b", depends_on=["a"])), "a → b → a"),
    "missing dependency": (lambda: _as_json(adder("a", depends_on=["nobody"])), "nobody"),
    "duplicate key": (lambda: _as_json(adder("a"), adder("a")), '"a"'),
    "path above": (lambda: _as_json(adder("a", target_path="../x.py")), "target_path"),
    "absolute path": (lambda: _as_json(adder("a", target_path="/x.py")), "target_path"),
    "empty": (lambda: b"", "empty"),
    "alias bomb": (_bomb, "alias"),
    "wrong types": (lambda: b'{"name": 5, "atoms": "many"}', "atoms"),
    "100 MB": (lambda: b" " * 100_000_000, "too large"),
    "defaults that are no settings": (
        lambda: json.dumps(plan(adder("a"), defaults={"schedule": "zigzag", "colour": 1})).encode(),
        "defaults.colour: unknown setting",
    ),
    "not text": (lambda: b"\xff\xfe\x00\x01", "UTF-8"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_bad_file_is_refused_with_its_reason(product: Product, scratch: Path, name: str) -> None:
    content, said = CASES[name]
    file = scratch / "bad.yaml"
    file.write_bytes(content())

    done = product.manage("import_masterplan", file)

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
    if "DATABASE_URL" in product.environment:
        assert product.query("SELECT COUNT(*) FROM executions_masterplan") == [(0,)]
    else:
        assert not (product.data_dir / "mge.sqlite3").exists()
