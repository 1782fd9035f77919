"""What `manage.py doctor` says where the settings cannot even be loaded: the same table of variables, and what refused them."""

from __future__ import annotations

from collections.abc import Iterator

from mge_site.env import Environment, Reading, unknown, without_password


def diagnosis(refusal: str) -> str:
    """The table as text. `refusal` is the message of the BadSetting."""
    environment = Environment()
    lines = [table_line(name, said, bad=bad) for name, said, bad in variables(environment)]
    wrong = sum(bad for _, _, bad in variables(environment))
    others = [line for line in refusal.splitlines() if line not in environment.errors()]
    lines += [table_line("settings", line, bad=True) for line in others]
    wrong += len(others)
    return "\n".join(
        ["\nSettings", *lines, "", f"{wrong} things are wrong; nothing else can be looked at", ""]
    )


def variables(environment: Environment) -> Iterator[tuple[str, str, bool]]:
    """Name, value with its source, whether it is wrong: of each variable, and of those that are none of ours."""
    for reading in environment.readings.values():
        yield reading.variable.name, f"{shown(reading)}  [{reading.source}]", bool(reading.error)
    for sentence in unknown():
        yield sentence.split(" ", 1)[0], sentence, True


def table_line(name: str, said: str, *, bad: bool) -> str:
    return f"  {'WRONG' if bad else 'ok   '} {name:<34} {said}"


def shown(reading: Reading) -> str:
    """The value as it may be seen."""
    if reading.error:
        return reading.error
    if reading.variable.secret:
        return "set" if reading.value else "not set"
    if reading.value is None or reading.value == "" or reading.value == ():
        return "-"
    if isinstance(reading.value, tuple):
        return ", ".join(str(one) for one in reading.value)
    return without_password(str(reading.value))
