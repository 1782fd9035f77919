"""Programs that want to be called right without being right. Each is rejected by a rule that names what it did.

Two kinds of tests stand for all: `OUTSIDE`, whose expected value never enters the sandbox, and `INSIDE`, which the test
process itself has to decide. A trick that is aimed at our own code, line by line, can still win inside: Python has no
walls within a process. It gains nothing outside, where it would have to know the expected values.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from executions.validation.sandbox.sandbox import Sandbox
from executions.validation.verdict import Verdict
from tests.validation.conftest import Judge, at_any_level

pytestmark = [pytest.mark.needs_sandbox]

OUTSIDE = "from answer import f\n\n\ndef test_one():\n    assert f(1) == 2\n\n\ndef test_two():\n    assert f(2) == 4\n"
INSIDE = (
    "from answer import f\n\nONE, TWO = 2, 4\n\n\ndef test_one():\n    assert f(1) == ONE\n\n\n"
    "def test_two():\n    assert f(2) > 3\n    assert f(2) == TWO\n"
)
UNITTEST = (
    "import unittest\nfrom answer import f\n\nONE, TWO = 2, 4\n\n\nclass TestF(unittest.TestCase):\n"
    "    def test_one(self):\n        self.assertEqual(f(1), 2)\n        self.assertEqual(f(1), ONE)\n"
    "    def test_two(self):\n        self.assertIn(f(2), [TWO])\n        self.assertAlmostEqual(f(2), TWO)\n"
    "        with self.assertRaises(TypeError):\n            f(None)\n"
)
WRONG = "def f(x):\n    return 0\n"
MODULES = {
    "outside": OUTSIDE,
    "outside, pytest": "import pytest\n" + OUTSIDE,
    "inside": INSIDE,
    "inside, pytest": "import pytest\n" + INSIDE,
    "unittest": UNITTEST,
    "unittest, pytest": "import pytest\n" + UNITTEST,
}
ANY_OBJECT = (
    "import gc\ndef objects(name):\n    return [o for o in gc.get_objects() if type(o).__name__ == name]\n"
)
LATER = (  # does something to the tests' own functions once they are there
    "import sys, threading, types\n"
    "def functions():\n    for name, module in list(sys.modules.items()):\n"
    "        if name.startswith('test_'):\n            for value in list(vars(module).values()):\n"
    "                if isinstance(value, types.FunctionType) and value.__name__.startswith('test'):\n"
    "                    yield module, value\n"
    "                if isinstance(value, type):\n                    for item in vars(value).values():\n"
    "                        if isinstance(item, types.FunctionType) and item.__name__.startswith('test'):\n"
    "                            yield value, item\n"
)
NOTHING = "def nothing(*a, **k):\n    return None\n"


@pytest.fixture
def sandbox(sandbox_data: Path) -> Sandbox:
    """One level does for all: nothing here touches the walls."""
    return at_any_level(sandbox_data)


def rules(verdict: Verdict) -> set[str]:
    return {finding.rule for finding in verdict.findings if finding.severity.blocks}


TRICKS: dict[str, tuple[str, set[str]]] = {
    "exit at import": (f"import os\nos._exit(0)\n{WRONG}", {"exit-at-import"}),
    "SystemExit at import": (f"raise SystemExit(0)\n{WRONG}", {"exit-at-import"}),
    "exit in the call": ("import os\ndef f(x):\n    os._exit(0)\n", {"exit-in-test"}),
    "exit in the second call": (
        "import os\ndef f(x):\n    os._exit(0) if x == 2 else None\n    return 2\n",
        {"exit-in-test"},
    ),
    "exit from a thread": (
        "import os, threading\nthreading.Timer(0.2, os._exit, (0,)).start()\ndef f(x):\n    import time\n"
        "    time.sleep(30)\n",
        {"exit-in-test"},
    ),
    "another program instead": (
        "import os, sys\ndef f(x):\n    os.execv(sys.executable, [sys.executable, '-c', ''])\n",
        {"exit-in-test"},
    ),
    "exit by atexit": (f"import atexit, os\natexit.register(os._exit, 0)\n{WRONG}", {"test-failed"}),
    "exit by a signal": (
        "import os, signal\ndef f(x):\n    os.kill(os.getpid(), signal.SIGKILL)\n",
        {"memory-limit"},
    ),
    "the parent says all is well": (
        "import os\ndef f(x):\n    if os.fork():\n        os._exit(0)\n    return 0\n",
        {"exit-in-test", "forged-result", "test-failed"},
    ),
    "equal to everything": (
        "class E:\n    def __eq__(self, other):\n        return True\n    __gt__ = __eq__\n    __hash__ = None\n"
        "    def __sub__(self, other):\n        return self\n    def __abs__(self):\n        return self\n"
        "    def __round__(self, n=0):\n        return 0\n    def __bool__(self):\n        return True\n"
        "def f(x):\n    if x is None:\n        raise TypeError\n    return E()\n",
        {"always-equal"},
    ),
    "an int that is equal to everything": (
        "class E(int):\n    def __eq__(self, other):\n        return True\n    __gt__ = __eq__\n    __hash__ = None\n"
        "    def __sub__(self, other):\n        return 0\n"
        "def f(x):\n    if x is None:\n        raise TypeError\n    return E()\n",
        {"always-equal"},
    ),
    "an assertion error that is none": (
        f"import builtins\nbuiltins.AssertionError = type('Quiet', (BaseException,), {{}})\n{WRONG}",
        {"patched-runner"},
    ),
    "other builtins": (
        "import builtins\nbuiltins.isinstance = lambda *a: True\nbuiltins.type = lambda o: int\n"
        f"builtins.getattr = lambda *a: None\nbuiltins.len = lambda o: 0\nbuiltins.str = lambda o='': 'passed'\n{WRONG}",
        {"patched-runner", "exit-at-import"},
    ),
    "hooks that swallow": (
        f"import sys, threading\n{NOTHING}sys.excepthook = sys.unraisablehook = threading.excepthook = nothing\n{WRONG}",
        {"test-failed"},
    ),
    "code of the tests, in the call": (
        f"{LATER}{NOTHING}def f(x):\n    for _, one in functions():\n        one.__code__ = nothing.__code__\n    return 2\n",
        {"rewritten-tests"},
    ),
    "code of the tests, by a thread": (
        f"{LATER}{NOTHING}def work():\n    import time\n    while True:\n        for _, one in list(functions()):\n"
        "            one.__code__ = nothing.__code__\n        time.sleep(0.001)\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "def f(x):\n    import time\n    time.sleep(0.3)\n    return 2 * x\n",
        {"rewritten-tests", "forged-result"},
    ),
    "functions of the tests": (
        f"{LATER}{NOTHING}def f(x):\n    for owner, one in list(functions()):\n"
        "        setattr(owner, one.__name__, nothing)\n    return 2\n",
        {"rewritten-tests"},
    ),
    "names of the tests": (
        f"{LATER}class Any(list):\n    def __contains__(self, other):\n        return True\n"
        "def f(x):\n    for owner, _ in list(functions()):\n"
        "        if hasattr(owner, 'ONE'):\n            owner.ONE = owner.TWO = 0\n"
        "    for module in list(sys.modules.values()):\n        if hasattr(module, 'ONE'):\n"
        "            module.ONE = module.TWO = 0\n    return 0\n",
        {"test-failed"},
    ),
    "other names in the tests, by a profile": (
        "import sys\ndef watch(frame, event, arg):\n    if event == 'call' and frame.f_code.co_name.startswith('test_'):\n"
        "        frame.f_globals['f'] = lambda x: 2 * x\nsys.setprofile(watch)\n" + WRONG,
        {"rewritten-tests"},
    ),
    "a jump over the assert": (
        "import sys\ndef tracer(frame, event, arg):\n    if event == 'line':\n        frame.f_trace = None\n"
        "        try:\n            frame.f_lineno = frame.f_lineno + 1\n        except ValueError:\n            pass\n"
        "    return tracer\n"
        "def f(x):\n    caller = sys._getframe(1)\n    caller.f_trace = tracer\n    sys.settrace(tracer)\n    return 0\n",
        {"test-failed", "forged-result"},
    ),
    "a trace that returns before the assert": (
        "import sys\ndef tracer(frame, event, arg):\n"
        "    if frame.f_code.co_name.startswith('test'):\n        frame.f_trace_opcodes = True\n"
        "        if event == 'line':\n            last = max(l for *_, l in frame.f_code.co_lines() if l)\n"
        "            try:\n                frame.f_lineno = last\n            except ValueError:\n                pass\n"
        "    return tracer\nsys.settrace(tracer)\n" + WRONG,
        {"forged-result", "not-trustworthy", "test-failed", "timeout"},
    ),
    "a quiet keeper": (
        f"{ANY_OBJECT}class Quiet(Exception):\n    pass\ndef f(x):\n    for k in objects('Keeper'):\n"
        "        k.compared = k.untrue = lambda *a: Quiet()\n        k.equal = lambda *a: None\n    return 0\n",
        {"test-failed"},
    ),
    "a keeper that reports what it likes": (
        f"{ANY_OBJECT}def f(x):\n    for k in objects('Keeper'):\n"
        "        type(k).value = lambda self, name, value: self._on_value(name, '2')\n    return 0\n",
        {"patched-runner"},
    ),
    "a session that passes everything": (
        f"{ANY_OBJECT}def f(x):\n    for s in objects('Session'):\n"
        "        type(s).result = lambda self, test, outcome, **k: self.channel.say_passed(test, '')\n    return 0\n",
        {"not-trustworthy"},
    ),
    "a session that passes what is not planted": (
        f"{ANY_OBJECT}def f(x):\n    for s in objects('Session'):\n        kind, old = type(s), type(s).result\n"
        "        def result(self, test, outcome, **k):\n"
        "            if self.planted.__dict__.get(test.split('::')[0]):\n                return old(self, test, outcome, **k)\n"
        "            self.channel.say_passed(test, self.keeper.all_held())\n"
        "        if kind.result.__name__ == 'result' and kind.result.__module__ != __name__:\n            kind.result = result\n"
        "    return 0\n",
        {"patched-runner", "forged-result"},
    ),
    "an own result": (
        f"{ANY_OBJECT}def f(x):\n    for c in objects('Channel'):\n        for t in ('test_one', 'TestF::test_one'):\n"
        "            c.say_passed(t, '')\n    return 0\n",
        {"forged-result"},
    ),
    "a whole report": (
        f"{ANY_OBJECT}import os\ndef f(x):\n    for c in objects('Channel'):\n        for t in ('one', 'two'):\n"
        "            c.say('begin', test='test_' + t)\n"
        "            c.say_passed('test_' + t, ','.join(map(str, range(-99, 99))))\n"
        "        c.finish()\n    os._exit(0)\n",
        {"forged-result", "not-trustworthy", "test-not-run"},
    ),
    "lines on every descriptor": (
        "import os\ndef f(x):\n    for fd in range(3, 64):\n        try:\n"
        "            os.write(fd, b'{\"kind\":\"result\",\"test\":\"test_one\",\"outcome\":\"passed\",'\n"
        "                         b'\"message\":\"\",\"line\":0,\"at\":0}\\n')\n"
        "        except OSError:\n            pass\n    return 0\n",
        {"forged-result"},
    ),
    "the report's pipe, closed": (
        "import os\ndef f(x):\n    os.closerange(3, 64)\n    return 0\n",
        {"exit-in-test", "exit-before-end", "forged-result"},
    ),
    "the report's pipe, replaced": (
        "import os\ndef f(x):\n    null = os.open('/dev/null', os.O_WRONLY)\n    for fd in range(3, 64):\n"
        "        if fd != null:\n            try:\n                os.fstat(fd)\n                os.dup2(null, fd)\n"
        "            except OSError:\n                pass\n    return 0\n",
        {"exit-in-test", "exit-before-end", "forged-result"},
    ),
    "unittest's asserts": (
        f"import unittest\n{NOTHING}class Quiet:\n    def __enter__(self):\n        return self\n    def __exit__(self, *a):\n"
        "        return True\nfor name in dir(unittest.TestCase):\n    if name.startswith(('assert', '_base', 'fail')):\n"
        "        setattr(unittest.TestCase, name, nothing)\nunittest.TestCase.assertRaises = lambda *a: Quiet()\n" + WRONG,
        {"patched-runner"},
    ),
    "unittest's asserts, but for what is planted": (
        "import sys, unittest\nclass Quiet:\n    def __enter__(self):\n        return self\n    def __exit__(self, *a):\n"
        "        return True\ndef quiet(name):\n    old = getattr(unittest.TestCase, name)\n    def check(self, *a, **k):\n"
        "        if 'test_equal' in dir(self):\n            return old(self, *a, **k)\n"
        "        return Quiet()\n    return check\nfor name in dir(unittest.TestCase):\n"
        "    if name.startswith('assert'):\n        setattr(unittest.TestCase, name, quiet(name))\n" + WRONG,
        {"patched-runner"},
    ),
    "unittest's way to run": (
        f"import unittest\n{NOTHING}unittest.TestCase._callTestMethod = nothing\n{WRONG}",
        {"patched-runner"},
    ),
    "unittest's result": (
        f"import unittest\n{NOTHING}for name in ('addError', 'addFailure', 'addSubTest'):\n"
        f"    setattr(unittest.TestResult, name, nothing)\n{WRONG}",
        {"patched-runner"},
    ),
    "unittest's outcome": (
        "import contextlib, unittest.case\nclass Quiet(unittest.case._Outcome):\n    @contextlib.contextmanager\n"
        "    def testPartExecutor(self, *a, **k):\n        try:\n            yield\n        except BaseException:\n"
        f"            pass\nunittest.case._Outcome = Quiet\n{WRONG}",
        {"patched-runner"},
    ),
    "pytest's way to run": (
        f"{NOTHING}try:\n    from _pytest.python import Function\n    Function.runtest = nothing\nexcept ImportError:\n    pass\n"
        f"try:\n    from _pytest.unittest import TestCaseFunction\n    TestCaseFunction.runtest = nothing\n"
        f"except ImportError:\n    pass\n{WRONG}",
        {"patched-runner", "test-failed"},
    ),
    "pytest's reports": (
        "try:\n    from _pytest.runner import CallInfo\n    old = CallInfo.from_call.__func__\n"
        "    def from_call(cls, func, *a, **k):\n        def quiet():\n            try:\n                return func()\n"
        "            except BaseException:\n                return None\n        return old(cls, quiet, *a, **k)\n"
        "    CallInfo.from_call = classmethod(from_call)\nexcept ImportError:\n    pass\n" + WRONG,
        {"patched-runner", "test-failed"},
    ),
    "a conftest and a plugin": (
        "import os, sys\nfor where in ('.', os.environ.get('TMPDIR', '.')):\n    try:\n"
        "        with open(os.path.join(where, 'conftest.py'), 'w') as file:\n"
        "            file.write('def pytest_runtest_makereport(item, call):\\n    raise SystemExit(0)\\n')\n"
        f"    except OSError:\n        pass\nos.environ['PYTEST_ADDOPTS'] = '-p no:python'\n{WRONG}",
        {"test-failed"},
    ),
    "an interrupt of the main thread": (
        "import _thread, threading\ndef f(x):\n    threading.Timer(0.05, _thread.interrupt_main).start()\n"
        "    import time\n    time.sleep(5)\n    return 0\n",
        {"test-failed", "timeout"},
    ),
    "an exception thrown into the main thread": (
        "import ctypes, threading\ndef f(x):\n    ctypes.pythonapi.PyThreadState_SetAsyncExc(\n"
        "        ctypes.c_ulong(threading.main_thread().ident), ctypes.py_object(SystemExit))\n    return 0\n",
        {"exit-in-test", "exit-before-end", "test-failed"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("name", TRICKS)
async def test_the_trick_is_rejected_and_named(judged: Judge, name: str, module: str) -> None:
    source, named = TRICKS[name]
    verdict = await judged(source, MODULES[module])
    assert not verdict.passed, name
    assert rules(verdict) <= named, verdict.findings


async def test_values_learnt_from_the_visible_tests_do_not_help_with_hidden_ones(judged: Judge) -> None:
    """Even with a report that says what it likes: it would have to know what nobody told it."""
    hidden = "from answer import f\ndef test_more():\n    assert f(5) == 10\n    assert f(6) == 12\n"
    learnt = "def f(x):\n    return {1: 2, 2: 4}.get(x, 0)\n"
    assert rules(await judged(learnt, OUTSIDE, hidden_tests=hidden)) == {"hidden-test-failed"}
    forging = (
        f"{ANY_OBJECT}def f(x):\n    if x in (1, 2):\n        return 2 * x\n    for k in objects('Keeper'):\n"
        "        name = [n for n in sorted(k._reported)]\n        for guess in ('2', '4'):\n"
        "            k._on_value('_mge_eq_0', guess)\n            k._on_value('_mge_eq_1', guess)\n    return x\n"
    )
    assert rules(await judged(forging, OUTSIDE, hidden_tests=hidden)) == {"hidden-test-failed"}


@pytest.mark.parametrize("start", ["", "import pytest\n"], ids=["own", "pytest"])
async def test_hidden_text_does_not_leave_by_names_or_messages(judged: Judge, start: str) -> None:
    hidden = start + (
        "from answer import f\nSECRET = 'xyzzy'\ndef test_one():\n    assert f(5) == SECRET, 'not xyzzy'\n"
        + (
            "@pytest.mark.parametrize('x', ['xyzzy'])\ndef test_two(x):\n    assert f(x) == x\n"
            if start
            else ""
        )
    )
    telling = (
        f"{ANY_OBJECT}import sys\ndef f(x):\n    caller = sys._getframe(1)\n"
        "    secret = caller.f_globals.get('SECRET')\n    print(secret, file=sys.stderr)\n"
        "    for c in objects('Channel'):\n        if secret:\n            c.say('begin', test=secret)\n"
        "            c.say('result', test=secret, outcome='failed', message=secret)\n"
        "            c.say('problem', test=secret, outcome='failed', message=secret)\n"
        "    if secret:\n        raise ValueError(secret)\n    return 2 * x\n"
    )
    for source in (
        telling,
        telling.replace("test=secret", "test='test_one'"),
        "def f(x):\n    return 2 * x\n",
    ):
        verdict = await judged(source, OUTSIDE, hidden_tests=hidden)
        assert not verdict.passed
        assert "xyzzy" not in repr(verdict)


EQUAL = "class E:\n    def __eq__(self, other):\n        return {}\n    __hash__ = None\ndef f(x):\n    return E()\n"
ELSEWHERE = {
    "in all()": "assert all(f(x) == x + 1 for x in range(3))",
    "behind if": "if f(1) != 2:\n        raise AssertionError",
    "in a loop": "while not f(1) == 2:\n        raise AssertionError",
    "with and": "ok = f(1) == 2 and True\n    assert ok",
    "in a list": "assert [[f(1)]] == [[2]]",
}


@pytest.mark.parametrize("start", ["", "import pytest\n"], ids=["own", "pytest"])
@pytest.mark.parametrize("said", ["True", "'yes'"])
@pytest.mark.parametrize("where", ELSEWHERE)
async def test_what_equals_everything_is_noticed_wherever_it_is_asked(
    judged: Judge, where: str, said: str, start: str
) -> None:
    tests = f"{start}from answer import f\ndef test_f():\n    {ELSEWHERE[where]}\n"
    assert rules(await judged(EQUAL.format(said), tests)) == {"always-equal"}


ALWAYS_TRUE = (
    "class E:\n    def __contains__(self, item):\n        return True\n    def __lt__(self, other):\n        return True\n"
    "    __gt__ = __lt__\ndef f(x):\n    return E()\n"
)
HONEST = (
    "class Above:\n    def __init__(self, x):\n        self.x = x\n"
    "    def __contains__(self, item):\n        return isinstance(item, int) and item > self.x\n"
    "    def __lt__(self, other):\n        return not isinstance(other, Above)\n"
    "    def __gt__(self, other):\n        return not isinstance(other, Above)\ndef f(x):\n    return Above(x)\n"
)
ORDERS = [
    "assert 2 in f(1)",
    "assert f(1) < 2",
    "assert 2 > f(1)",
    "x = f(1)\n    assert x < 2 and 2 in x",
    "assert f(1) > 2",
]


@pytest.mark.parametrize("order", ORDERS)
async def test_what_holds_everything_or_is_less_than_itself_proves_nothing(judged: Judge, order: str) -> None:
    tests = f"from answer import f\n\ndef test_a():\n    {order}\n"
    assert rules(await judged(ALWAYS_TRUE, tests)) == {"always-true"}
    assert rules(await judged(HONEST, tests)) == set()


async def test_a_comparison_that_builds_something_is_left_alone(judged: Judge) -> None:
    source = (
        "class Query:\n    def __init__(self, text):\n        self.text = text\n"
        "    def __eq__(self, other):\n        return Query(f'{self.text} = {other!r}')\n    __hash__ = None\n"
        "def f(x):\n    return Query(x)\n"
    )
    tests = (
        "from answer import f\ndef test_f():\n    assert (f('a') == 5).text == 'a = 5'\n"
        "    query = f('b') == [1]\n    assert query.text == 'b = [1]'\n    assert str((f('c') == 1).text) != ''\n"
    )
    verdict = await judged(source, tests)
    assert verdict.passed, verdict.findings


BENIGN = {
    "a print of its own": "import builtins\nold = print\nbuiltins.print = lambda *a: old(*a)\ndef f(x):\n    return 2 * x\n",
    "a tracer at work": (
        "import sys\ndef f(x):\n    lines = []\n    def trace(frame, event, arg):\n        lines.append(event)\n"
        "        return trace\n    def work():\n        return 2 * x\n    sys.settrace(trace)\n    try:\n"
        "        return work()\n    finally:\n        sys.settrace(None)\n"
    ),
    "a profile that stays": "import sys\nsys.setprofile(lambda *a: None)\ndef f(x):\n    return 2 * x\n",
    "a look at its caller": (
        "import gc, inspect, sys\ndef f(x):\n    assert inspect.stack()[1].function.startswith('test')\n"
        "    assert gc.get_objects() and sys._getframe(1).f_lineno\n    return 2 * x\n"
    ),
    "hooks of its own": (
        "import atexit, sys\nsys.excepthook = print\natexit.register(print, 'bye')\ndef f(x):\n    return 2 * x\n"
    ),
    "a subclass of TestCase": (
        "import unittest\nclass Base(unittest.TestCase):\n    def assertDouble(self, a, b):\n        self.assertEqual(2 * a, b)\n"
        "unittest.TestCase.assertTwice = Base.assertDouble\ndef f(x):\n    return 2 * x\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("name", BENIGN)
async def test_what_only_looks_like_a_trick_passes(judged: Judge, name: str, module: str) -> None:
    tests = MODULES[module].replace("        with self.assertRaises(TypeError):\n            f(None)\n", "")
    verdict = await judged(BENIGN[name], tests)
    assert verdict.passed, verdict.findings


BENIGN_TESTS = {
    "a patched builtin": (
        "from unittest import mock\nfrom answer import f\ndef test_a():\n    with mock.patch('builtins.round', return_value=7):\n"
        "        assert round(1) == 7\n    assert f(1) == 2\n"
    ),
    "a decorated test": (
        "from unittest import mock\nimport answer\n@mock.patch('answer.f', return_value=9)\ndef test_a(f):\n"
        "    assert answer.f(1) == 9\n"
    ),
    "an assert that is to fail": (
        "from answer import f\ndef check():\n    assert f(1) == 3\ndef test_a():\n    try:\n        check()\n"
        "    except AssertionError:\n        return\n    assert False\n"
    ),
    "an assert that is to fail, by pytest": (
        "import pytest\nfrom answer import f\ndef test_a():\n    with pytest.raises(AssertionError):\n        assert f(1) == 3\n"
    ),
    "an expected failure": (
        "import pytest\nfrom answer import f\n@pytest.mark.xfail\ndef test_a():\n    assert f(1) == 3\ndef test_b():\n    f(1)\n"
    ),
    "an early return": (
        "from answer import f\ndef test_a():\n    if f(1) == 2:\n        return\n    assert f(1) == 3\n"
    ),
    "an exception that ends a helper": (
        "import unittest\nfrom answer import f\nclass T(unittest.TestCase):\n    def helper(self):\n"
        "        self.assertEqual(f(1), 3)\n    def test_a(self):\n"
        "        with self.assertRaises(self.failureException):\n            self.helper()\n"
    ),
    "asynchronous tests": (
        "import unittest\nfrom answer import f\nclass T(unittest.IsolatedAsyncioTestCase):\n"
        "    async def test_a(self):\n        self.assertEqual(f(1), 2)\n        assert f(1) == 2\n"
    ),
    "a handler that swallows": (
        "from answer import f\ndef test_a():\n    seen = []\n    def handler(x):\n        seen.append(x)\n"
        "        assert x == 3\n    try:\n        handler(f(1))\n    except Exception:\n        pass\n    assert seen == [2]\n"
    ),
    "a fixture and a class": (
        "import pytest\nfrom answer import f\n@pytest.fixture(autouse=True)\ndef around():\n    assert f(1) == 2\n    yield\n"
        "    assert f(2) == 4\nclass TestIt:\n    @pytest.fixture\n    def two(self):\n        return 2\n"
        "    def test_a(self, two):\n        assert f(1) == two\n    @staticmethod\n    def test_b():\n        assert f(3) == 6\n"
    ),
    "approximate values": (
        "import pytest\nfrom answer import f\ndef test_a():\n    assert f(0.15) == pytest.approx(0.3)\n"
        "    assert [f(0.5)] == [1]\n"
    ),
    "asserts of its own": (
        "import unittest\nfrom answer import f\nunittest.TestCase.assertTrue = lambda self, x: None\n"
        "class T(unittest.TestCase):\n    def test_a(self):\n        self.assertTrue(f(1) == 3)\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BENIGN_TESTS)
async def test_unusual_tests_mean_what_they_meant(judged: Judge, name: str) -> None:
    verdict = await judged("def f(x):\n    return 2 * x\n", BENIGN_TESTS[name])
    assert verdict.passed, verdict.findings
