"""Atoms are recognised by the whole text of their tests, and by nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from executions.scripted_model.answers import KnownAtom
from executions.scripted_model.placement import AtomScript
from executions.scripted_model.recognition import TestsIndex


def script(key: str, tests: str, *marks: str) -> AtomScript:
    return AtomScript(KnownAtom("Plan", key, tests, f"reference of {key}", marks=marks))


def index_of(*scripts: AtomScript) -> TestsIndex:
    index = TestsIndex()
    index.add(scripts)
    return index


def text_of_tests(number: int) -> str:
    return f"from pack.m{number} import f\n\n\ndef test_it():\n    assert f(0) == {number}"


def test_the_whole_tests_in_a_request_name_the_atom() -> None:
    one, two = script("one", text_of_tests(1)), script("two", text_of_tests(2))
    assert index_of(one, two).find(f"Please write it.\n```python\n{text_of_tests(2)}\n```\n") is two


def test_tests_of_which_a_line_is_missing_name_nothing() -> None:
    cut = "\n".join(text_of_tests(1).split("\n")[:-1])
    assert index_of(script("one", text_of_tests(1))).find(f"{cut}\nkey: one, name: one") is None


def test_tests_whose_outer_lines_are_joined_to_other_words_are_found() -> None:
    one = script("one", text_of_tests(1))
    assert index_of(one, script("two", text_of_tests(2))).find(f"<tests>{text_of_tests(1)}</tests>") is one


def test_of_tests_inside_other_tests_the_longest_win() -> None:
    short, long = (
        script("short", text_of_tests(1)),
        script("long", f"{text_of_tests(1)}\n\n\ndef test_more():\n    pass"),
    )
    index = index_of(short, long)
    assert index.find(long.atom.tests) is long
    assert index.find(short.atom.tests) is short


def test_atoms_with_equal_tests_are_told_apart_by_what_else_the_request_says() -> None:
    one = script("one", text_of_tests(1), "pack/a.py", "Do it one way.")
    two = script("two", text_of_tests(1), "pack/b.py", "Do it another way.")
    index = index_of(one, two)
    assert index.find(f"Write pack/a.py.\n{text_of_tests(1)}") is one
    assert index.find(f"Write pack/b.py.\n{text_of_tests(1)}") is two
    assert index.find(text_of_tests(1)) is two, "the one loaded last"


def test_a_removed_atom_is_no_longer_found() -> None:
    one, two = script("one", text_of_tests(1)), script("two", text_of_tests(1))
    index = index_of(one, two)
    index.remove([two])
    assert index.find(text_of_tests(1)) is one
    index.remove([one])
    assert index.find(text_of_tests(1)) is None
    assert len(index) == 0


@given(
    st.lists(
        st.lists(st.sampled_from(["a = 1", "b = 2", "  c()", "", "d"]), min_size=1, max_size=6),
        min_size=1,
        max_size=8,
    )
)
def test_every_atom_with_tests_of_its_own_is_found_by_them(lines: list[list[str]]) -> None:
    texts = sorted({"\n".join(of_one).strip("\n") for of_one in lines} - {""})
    scripts = [script(str(number), text) for number, text in enumerate(texts) if text.strip()]
    index = index_of(*scripts)
    for known in scripts:
        assert index.find(f"before\n{known.atom.tests}\nafter") is known


class CountedText(str):
    """A text that counts how often something is looked for in it."""

    looked = 0

    def __contains__(self, part: object) -> bool:
        self.looked += 1
        return isinstance(part, str) and super().__contains__(part)


def test_a_request_is_compared_with_few_atoms_however_many_are_known() -> None:
    index = index_of(*(script(str(number), text_of_tests(number)) for number in range(2_000)))
    text = CountedText(f"Write it.\n{text_of_tests(1_234)}\n")
    found = index.find(text)
    assert found is not None
    assert found.atom.key == "1234"
    assert text.looked <= 4
