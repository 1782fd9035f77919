"""django-q2's cluster: `qcluster`, with what the tasks import imported before its workers are forked.

Each of them would else import the client within the first of its measured tasks; a worker of ours has imported it, too.
"""

from __future__ import annotations

import anthropic
import anthropic.resources.messages  # noqa: F401
import django
import httpx2  # noqa: F401
import markdown_it  # noqa: F401
from django.core.management import call_command

from benchmarks.peers import django_q2_tasks  # noqa: F401

if __name__ == "__main__":
    django.setup()
    call_command("qcluster")
