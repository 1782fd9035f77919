"""How soon an idle site asks the model: from the call of `start_execution` to the arrival of the request at the server.

One-atom executions, one after the other, started by a process that stays alive as the web process does; between them the
site is idle for 0.3 to 1 s (seeded), so that they meet every phase of whatever looks at the database from time to time.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.installation import WARM_UP_KEY, Installation, warm_up_plan
from tests.plans import adder, plan, write_plan
from tests.scripted import ScriptedServer

KEY = "only"
START = """
import json, random, time
from executions.models import Execution, Masterplan
from executions.services.start import start_execution
from executions.states import EXECUTION_ENDED
dice, began = random.Random(1), []
masterplan = Masterplan.objects.get(pk="{plan_id}")
for number in range({count}):
    time.sleep(dice.uniform(0.3, 1.0))
    began.append(time.time())
    execution = start_execution(
        masterplan=masterplan, actor=None, settings={{"validators": "syntax", "cache": "off"}}
    )
    while Execution.objects.get(pk=execution.pk).status not in EXECUTION_ENDED:
        time.sleep(0.05)
print(json.dumps(began))
"""


def measure_starts(folder: Path, count: int) -> list[float]:
    """Seconds of each start, in their order."""
    one = write_plan(folder / "plan", plan(adder(KEY), name="one atom"), stem="one")
    warm_up = warm_up_plan(folder / "warm-up")
    with (
        ScriptedServer("--answers", one, warm_up) as server,
        Installation(folder / "site", server.url, warm_up) as site,
    ):
        script = START.format(plan_id=site.store(one), count=count)
        done = site.product.manage("shell", "-c", script, timeout=60 + 10 * count)
        if done.returncode:
            raise SystemExit(done.stderr)
        began = json.loads(done.stdout.splitlines()[-1])
        arrived = sorted(entry["at"] for entry in server.log() if entry["atom"] not in (None, WARM_UP_KEY))
    if len(arrived) != count:
        raise SystemExit(f"{count} executions of one atom made {len(arrived)} calls")
    return [round(arrival - start, 4) for start, arrival in zip(began, arrived, strict=True)]
