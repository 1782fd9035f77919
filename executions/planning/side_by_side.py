"""Several exported plans in one folder, some of which have modules of the same name."""

from __future__ import annotations

from collections.abc import Mapping

CONFTEST_SOURCE = '''\
"""Keeps the projects in these folders apart: some of their modules have the same name.

Tests of a project are collected and run with that project's folder alone on the import path, and with its own
modules in sys.modules.
"""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
PROJECTS = {path for path in ROOT.iterdir() if (path / "manifest.json").is_file()}
modules = {}
current = None


def project_of(path):
    path = Path(path).resolve()
    return next((project for project in PROJECTS if path == project or project in path.parents), None)


def home_of(module):
    known = getattr(module, "__dict__", {})  # not by getattr: some modules load others when asked
    places = [known.get("__file__"), *(known.get("__path__") or [])]
    return next((home for place in places if place and (home := project_of(place))), None)


def enter(project):
    global current
    if project is None or project == current:
        return
    leaving = {name: module for name, module in list(sys.modules.items()) if home_of(module)}
    for name in leaving:
        del sys.modules[name]
    if current is not None:
        modules[current] = leaving
    sys.modules.update(modules.get(project, {}))
    sys.path[:] = [str(project), *(path for path in sys.path if project_of(path) is None)]
    sys.path_importer_cache.clear()
    current = project


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    enter(project_of(collector.path))
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    enter(project_of(item.path))
    return (yield)
'''
"""Needed because one interpreter holds one module per name; written only where `collide` says so."""


def collide(folders: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether the plans' files, by folder and path, cannot all be imported by one interpreter.

    A namespace package may be spread over several plans. A module may not be in two of them, nor may a
    package be in another one than its `__init__.py`.
    """
    modules: set[str] = set()
    homes: dict[str, set[str]] = {}
    for folder, files in folders.items():
        for path in files:
            if path.endswith(".py"):
                module = path.removesuffix(".py").removesuffix("/__init__")
                modules.add(module)
                steps = module.split("/")
                for depth in range(1, len(steps) + 1):
                    homes.setdefault("/".join(steps[:depth]), set()).add(folder)
    return any(len(homes[module]) > 1 for module in modules)
