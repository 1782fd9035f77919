"""Leadership: a job that one process should do at a time is done by whoever holds its lease, by the database's clock."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection

from executions.engine import dialect, owners


def lead(job: str, lease: timedelta) -> bool:
    """Whether this process does the job now. It does until the lease ends, unless it asks again before.

    A follower takes over when the lease has ended, or at once when it sees that the leader's process has. Followers only
    read, and the leader writes once in a third of its lease: on SQLite each write would hold up the others.
    """
    me = owners.process_name()
    with connection.cursor() as cursor:
        now = dialect.now(cursor)
        cursor.execute("SELECT owner, until FROM executions_leadership WHERE job = %s", [job])
        row = cursor.fetchone()
        until = dialect.at(now + lease)
        if row is None:
            cursor.execute(
                "INSERT INTO executions_leadership (job, owner, until) VALUES (%s, %s, %s) ON CONFLICT (job) DO NOTHING",
                [job, me, until],
            )
            return bool(cursor.rowcount == 1)
        leader, left = row[0], (dialect.to_time(row[1]) or now) - now
        if leader == me and left > lease * 2 / 3:
            return True
        if leader != me and left > timedelta(0) and not owners.has_ended(leader):
            return False
        # Whoever was faster has changed the owner or the end: then this changes nothing.
        cursor.execute(
            "UPDATE executions_leadership SET owner = %s, until = %s WHERE job = %s AND owner = %s AND until = %s",
            [me, until, job, leader, row[1]],
        )
        return bool(cursor.rowcount == 1)
