"""The admin deletes no evidence: executions go by `manage.py prune`, masterplans stay as long as anything of them does."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import models
from django.test import Client, RequestFactory
from django.urls import reverse

from executions.models import Execution, Masterplan
from tests.engine.by_hand import start
from tests.plans import adder, plan

OURS = sorted(
    (model for model in admin.site._registry if model._meta.app_label == "executions"),
    key=lambda model: model.__name__,
)
STORED = [
    model for model in OURS if model.__name__ in ("Execution", "Masterplan", "AtomRun", "Wave", "Event")
]


@pytest.mark.django_db
@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_no_page_offers_to_delete(model: type[models.Model]) -> None:
    request = RequestFactory().get("/")
    request.user = User.objects.create_superuser("boss", password="a long pass phrase")
    page = admin.site._registry[model]

    assert not page.has_delete_permission(request)
    assert "delete_selected" not in page.get_actions(request)


@pytest.mark.django_db
@pytest.mark.parametrize("model", STORED, ids=lambda model: model.__name__)
def test_asking_all_the_same_is_refused(client: Client, model: type[models.Model]) -> None:
    client.force_login(User.objects.create_superuser("boss", password="a long pass phrase"))
    start(plan(adder("a")))
    row = model._default_manager.first()
    assert row is not None
    name = f"admin:executions_{model._meta.model_name}"

    assert client.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    client.post(reverse(f"{name}_changelist"), chosen)

    assert model._default_manager.filter(pk=row.pk).exists()


@pytest.mark.django_db
def test_who_owns_executions_cannot_be_deleted_with_them(client: Client) -> None:
    client.force_login(User.objects.create_superuser("boss", password="a long pass phrase"))
    owner = User.objects.create_user("ada")
    start(plan(adder("a")), owner=owner)

    answer = client.post(reverse("admin:auth_user_delete", args=[owner.pk]), {"post": "yes"})

    assert answer.status_code in (200, 403)
    assert User.objects.filter(pk=owner.pk).exists()
    assert Execution.objects.filter(owner=owner).exists()
    assert Masterplan.objects.filter(owner=owner).exists()
