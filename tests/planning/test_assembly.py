"""Several sources in one file."""

from __future__ import annotations

import ast
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.planning.assembly import AssemblyConflict, assemble, own_definitions


def joined(*sources: str, target_path: str | None = "pkg/mod.py") -> str:
    return assemble([(f"k{n}", source) for n, source in enumerate(sources, 1)], target_path=target_path)


@given(st.text())
def test_a_single_part_stays_as_it_is(source: str) -> None:
    assert assemble([("a", source)], target_path="a.py") == source


def test_the_file_reads_as_if_one_person_had_written_it() -> None:
    first = '''\
#!/usr/bin/env python3
# -*- coding: latin-1 -*-
# Copyright somebody
"""What the module is for."""

from __future__ import annotations

import os
from typing import Any, Iterable  # kept

__all__ = ["first"]

# The limit that first() keeps.
LIMIT = 3


def first(items: Iterable[Any]) -> int:
    # Count them.
    return min(len(list(items)), LIMIT)  # trailing


if __name__ == "__main__":
    print(first(os.environ))
'''
    second = '''\
"""What second is for.

More of it.
"""
import os
import re as regex
from typing import Any, Sequence
from collections import OrderedDict
from pkg.mod import LIMIT, first


@staticmethod
def second(items: Sequence[Any]) -> str:
    text = """
    import not_an_import
    """
    return regex.sub("x", text, str(first(items) + LIMIT))
# The end.
'''
    third = """\
from collections import ChainMap, OrderedDict


def third():
    return OrderedDict(ChainMap())
"""
    assert (
        joined(first, second, third)
        == '''\
#!/usr/bin/env python3

# Copyright somebody
"""What the module is for."""

from __future__ import annotations

import os
from typing import Any, Iterable  # kept
import re as regex
from typing import Sequence
from collections import OrderedDict, ChainMap

__all__ = ["first", "second", "third"]


# The limit that first() keeps.
LIMIT = 3


def first(items: Iterable[Any]) -> int:
    # Count them.
    return min(len(list(items)), LIMIT)  # trailing


# What second is for.
#
# More of it.


@staticmethod
def second(items: Sequence[Any]) -> str:
    text = """
    import not_an_import
    """
    return regex.sub("x", text, str(first(items) + LIMIT))
# The end.


def third():
    return OrderedDict(ChainMap())


if __name__ == "__main__":
    print(first(os.environ))
'''
    )


def test_two_parts_that_define_the_same_name_conflict() -> None:
    with pytest.raises(
        AssemblyConflict, match=r'"k2" shares its file .* x is already bound by "k1"'
    ) as caught:
        joined("def x(): pass", "class x: pass\ny = 1")
    assert caught.value.names == ("x",)


@pytest.mark.parametrize(
    "second",
    [
        "a = 1",
        "a: int = 1",
        "b, (a, *c) = 1, (2, 3)",
        "for a in []: pass",
        "with open('x') as a: pass",
        "if True:\n    def a(): pass",
        "try:\n    import a\nexcept ImportError:\n    a = None",
        "async def a(): pass",
        "import a",
        "from other import a",
        "from other import b as a",
        "match 1:\n    case {'x': [a]}: pass",
    ],
)
def test_every_way_to_bind_a_name_of_another_part_conflicts(second: str) -> None:
    with pytest.raises(AssemblyConflict) as caught:
        joined("def a(): pass", second)
    assert "a" in caught.value.names


@pytest.mark.parametrize(
    ("first", "second"),
    [("import a", "import b as a"), ("from x import a", "from y import a"), ("from x import a", "import a")],
)
def test_one_name_imported_from_two_places_conflicts(first: str, second: str) -> None:
    with pytest.raises(AssemblyConflict):
        joined(first, second)


@pytest.mark.parametrize(
    "source",
    [
        "import a.b\nimport a.c",
        "import a as a",
        "from . import sibling",
        "from x import *",
        "try:\n    import a\nexcept ImportError:\n    raise",
        "for _ in range(3):\n    print()",
        "x.a += 1",
    ],
)
def test_what_binds_nothing_new_may_be_in_several_parts(source: str) -> None:
    ast.parse(joined(source, source, "def other(): pass"))


def test_an_import_from_the_shared_file_is_dropped_and_its_alias_kept() -> None:
    first = "def helper():\n    return 4\n"
    for line in ("from pkg.mod import helper as h", "from .mod import helper as h"):
        assert joined(first, f"{line}\n\n\ndef use():\n    return h()\n") == (
            "def helper():\n    return 4\n\n\nh = helper\n\n\ndef use():\n    return h()\n"
        )


def test_an_alias_of_a_shared_name_may_be_imported_by_a_later_part() -> None:
    text = joined("def f(): pass", "from pkg.mod import f as g\n", "from pkg.mod import g\nx = g\n")
    assert text == "def f(): pass\n\n\ng = f\n\n\nx = g\n"


def test_importing_from_the_shared_file_what_is_not_there_conflicts() -> None:
    with pytest.raises(AssemblyConflict, match='"k2" imports missing from the file that it is part of'):
        joined("def f(): pass", "from pkg.mod import missing")


def test_a_package_file_may_import_its_own_modules() -> None:
    text = joined("def f(): pass\n", "from pkg import f, sub\nx = sub\n", target_path="pkg/__init__.py")
    assert text == "from pkg import sub\n\n\ndef f(): pass\n\n\nx = sub\n"


def test_an_import_that_its_part_redefines_stays_where_it_is() -> None:
    text = joined("import a\na = a.wrapped()\n", "def f(): pass\n")
    assert text == "import a\na = a.wrapped()\n\n\ndef f(): pass\n"


def test_statements_that_share_a_line_are_parted() -> None:
    text = joined("import os; X = 'ä;'; import re  # why\n", "import re; Y = 1; Z = 2;\n")
    assert text == "import os\nimport re  # why\n\n\nX = 'ä;'\n\n\nY = 1\nZ = 2;\n"


def test_exports_must_be_literal_to_be_merged() -> None:
    with pytest.raises(AssemblyConflict, match="must be a plain list of names"):
        joined("__all__ = [name for name in dir()]", "x = 1")


def test_a_long_merged_import_is_wrapped() -> None:
    names = [f"name_number_{n}" for n in range(12)]
    text = joined("from m import " + ", ".join(names[:6]), "from m import " + ", ".join(names[6:]))
    assert text == "from m import (\n" + "".join(f"    {name},\n" for name in names) + ")\n"


def test_main_blocks_come_last() -> None:
    block = "if __name__ == '__main__':\n    args = 1\n"
    assert (
        joined(f"A = 1\n{block}", f"B = 2\n# Run it.\n{block}")
        == f"A = 1\n\n\nB = 2\n\n\n{block}\n\n# Run it.\n{block}"
    )


def test_a_comment_above_a_dropped_import_is_not_lost_nor_doubled() -> None:
    source = "# standard library\nimport os\n"
    assert joined(source, source) == "# standard library\nimport os\n"
    assert joined("import os\n", source) == "import os\n# standard library\n"


def test_a_docstring_that_would_break_out_of_a_comment_cannot() -> None:
    text = joined('"""One."""\n', '"""Two\\rimport os\\x00"""\nx = 1\n')
    assert text == '"""One."""\n\n\n# Two\n# import os\nx = 1\n'
    assert own_definitions(text) == ("x",)


@pytest.mark.parametrize("source", ["def (", "a\0b", "(" * 5_000, "-" * 100_000 + "1"])
def test_a_part_that_does_not_parse_is_named(source: str) -> None:
    with pytest.raises(AssemblyConflict, match='the source of "k2" does not parse'):
        joined("x = 1", source)


def test_windows_line_ends_and_a_byte_order_mark_are_normal() -> None:
    assert joined("\ufeffx = 1\r\n", "y = 2\r\n") == "x = 1\n\n\ny = 2\n"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="syntax of Python 3.12")
def test_a_type_alias_is_a_definition() -> None:
    assert own_definitions("type X = int") == ("X",)


def test_no_parts_make_an_empty_file() -> None:
    assert assemble([]).strip() == ""


def test_own_definitions_are_what_a_source_defines_itself() -> None:
    source = (
        "import os\nfrom x import y\nA = 1\ndef f():\n    inner = 1\nclass C:\n    D = 2\nif A:\n    E = 3\n"
    )
    assert own_definitions(source) == ("A", "f", "C", "E")


STATEMENTS = [
    "import os",
    "import os.path as p",
    "from typing import Any",
    "from typing import Iterable, Any as Whatever",
    "from __future__ import annotations",
    "# a comment",
    "",
    "def {name}_f(x):\n    # inside\n    return x",
    "@property\ndef {name}_g(self):\n    return 1  # g",
    "class {name}_C:\n    '''Doc'''\n\n    y = 1",
    "{name}_X = '''\nimport nothing\n'''",
    "{name}_Y = [\n    1,  # one\n]",
    "if __name__ == '__main__':\n    print({name!r})",
    "import re; {name}_Z = 1",
]


@st.composite
def parts(draw: st.DrawFn) -> list[tuple[str, str]]:
    sources = []
    for number in range(draw(st.integers(2, 5))):
        chosen = draw(st.lists(st.sampled_from(STATEMENTS), max_size=8, unique=True))
        chosen.sort(key=lambda statement: "__future__" not in statement)
        sources.append(
            (f"k{number}", "\n".join(chosen).replace("{name!r}", "1").replace("{name}", f"n{number}") + "\n")
        )
    return sources


@given(parts())
def test_nothing_is_lost_or_changed_but_imports(given_parts: list[tuple[str, str]]) -> None:
    text = assemble(given_parts)

    def others(source: str) -> list[str]:
        imports = (ast.Import, ast.ImportFrom)
        return [ast.dump(node) for node in ast.parse(source).body if not isinstance(node, imports)]

    def imported(source: str) -> set[tuple[str | None, str, str | None]]:
        return {
            (getattr(node, "module", None), alias.name, alias.asname)
            for node in ast.parse(source).body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }

    separate = [statement for _, source in given_parts for statement in others(source)]
    assert sorted(others(text)) == sorted(separate)
    assert imported(text) == set().union(*(imported(source) for _, source in given_parts))
    assert text.count("# inside") == sum(source.count("# inside") for _, source in given_parts)
    assert ("# a comment" in text) == any("# a comment" in source for _, source in given_parts)


@given(parts())
def test_definitions_keep_the_order_of_the_parts(given_parts: list[tuple[str, str]]) -> None:
    expected = [name for _, source in given_parts for name in own_definitions(source)]
    assert list(own_definitions(assemble(given_parts))) == expected
