"""A database in which tests commit, for those that work with several connections at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection, transaction
from django_q.models import OrmQ


@pytest.fixture
def transactional_db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """In place of pytest-django's fixture of this name (by which it knows that a database is needed).

    Commits are real and seen by every thread; afterwards our own rows and the users are deleted, which is much faster than
    a flush.
    """
    with django_db_blocker.unblock():
        assert Path(str(connection.settings_dict["NAME"])).name.startswith("test"), "only in a test database"
        yield
        connection.close()  # a test may have broken it
        with transaction.atomic(), connection.cursor() as cursor:
            # Foreign keys are checked at the commit, so that the order does not matter.
            for model in (*apps.get_app_config("executions").get_models(), OrmQ, User.groups.through, User):
                cursor.execute(f'DELETE FROM "{model._meta.db_table}"')  # noqa: S608
        connection.close()
