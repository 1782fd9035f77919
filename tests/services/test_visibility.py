"""Who sees what: one rule, tried on every model that is stored."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser, Group, User
from django.db import models

from executions.models import AtomRun, Attempt, Call, Issue
from executions.models.visibility import OwnedModel
from executions.services.start import start_execution
from tests.engine.by_hand import claim_one, start
from tests.plans import adder, plan

pytestmark = pytest.mark.django_db

MODELS = sorted(apps.get_app_config("executions").get_models(), key=lambda one: one.__name__)
OWNED = [model for model in MODELS if issubclass(model, OwnedModel)]
ITS_OWN_RULE = {"ApiToken": "a team shares no tokens; tried with the tokens"}
OF_THE_SITE = {
    "CachedAnswer": "looked up within its scope only; shown to nobody",
    "Canary": "of a node; shown to nobody",
    "IdempotentRequest": "looked up by its user only; shown to nobody",
    "Leadership": "which process does a chore; shown to nobody",
    "Node": "belongs to nobody",
    "NodeWorker": "of a node, shown with it",
    "RequestTally": "counts requests; shown to nobody",
    "Tally": "counters of the site; shown as metrics only",
}
"""Models without an owner, and why they need no rule."""


@pytest.fixture
def people() -> dict[str, User | AnonymousUser]:
    """Somebody of each kind; one row of every owned model belongs to `owner` and the team of `member`."""
    team, other_team = Group.objects.create(name="team"), Group.objects.create(name="other team")
    found: dict[str, User | AnonymousUser] = {"anonymous": AnonymousUser()}
    for name in ("owner", "member", "stranger", "gone"):
        found[name] = User.objects.create_user(name)
    found["staff"] = User.objects.create_user("staff", is_staff=True)
    found["gone staff"] = User.objects.create_user("gone staff", is_staff=True, is_active=False)
    User.objects.filter(username="gone").update(is_active=False)
    found["gone"] = User.objects.get(username="gone")
    for name in ("member", "gone"):
        team.user_set.add(found[name])
    other_team.user_set.add(found["stranger"])

    execution = start(plan(adder("a")), owner=found["owner"], validators="full")
    claim_one(execution).attempt(passed=False)
    for model in ("Masterplan", "Execution"):
        apps.get_model("executions", model).objects.update(team=team)
    return found


def test_every_model_has_the_rule_or_says_why_not() -> None:
    without = {model.__name__ for model in MODELS if model not in OWNED}

    assert without <= set(ITS_OWN_RULE) | set(OF_THE_SITE)


@pytest.mark.parametrize("model", OWNED, ids=lambda one: one.__name__)
@pytest.mark.parametrize(
    ("who", "sees"),
    [
        ("anonymous", False),
        ("owner", True),
        ("member", True),
        ("stranger", False),
        ("staff", True),
        ("gone", False),
        ("gone staff", False),
    ],
)
def test_rows_are_seen_by_their_owner_their_team_and_staff_only(
    people: dict[str, User | AnonymousUser], model: type[OwnedModel], who: str, sees: bool
) -> None:
    assert model.objects.exists()

    seen = model.objects.visible_to(people[who])

    assert seen.count() == (model.objects.count() if sees else 0)


@pytest.mark.parametrize("model", OWNED, ids=lambda one: one.__name__)
def test_what_nobody_owns_is_seen_by_staff_only(model: type[OwnedModel]) -> None:
    claim_one(start(plan(adder("a")), validators="full")).attempt(passed=False)
    somebody = User.objects.create_user("somebody")
    staff = User.objects.create_user("staff", is_staff=True)

    assert model.objects.visible_to(somebody).count() == 0
    assert model.objects.visible_to(staff).count() == model.objects.count() > 0


@pytest.mark.parametrize("model", OWNED, ids=lambda one: one.__name__)
def test_who_is_owner_and_in_the_team_several_times_sees_each_row_once(
    people: dict[str, User | AnonymousUser], model: type[OwnedModel]
) -> None:
    owner = people["owner"]
    for group in Group.objects.all():
        group.user_set.add(owner)

    assert model.objects.visible_to(owner).count() == model.objects.count()


@pytest.mark.parametrize("model", OWNED, ids=lambda one: one.__name__)
def test_the_path_to_the_owner_is_the_rows_own(model: type[OwnedModel]) -> None:
    """`owned_through` names foreign keys that lead to a row with owner and team."""
    found: type[models.Model] = model
    for step in filter(None, model.owned_through.split("__")):
        field = found._meta.get_field(step)
        assert isinstance(field, models.ForeignKey)
        assert not field.null
        found = field.related_model

    assert {"owner", "team"} <= {field.name for field in found._meta.get_fields()}


def test_attempts_calls_and_issues_of_another_owners_execution_stay_unseen_beside_own_ones() -> None:
    mine, theirs = User.objects.create_user("mine"), User.objects.create_user("theirs")
    for owner in (mine, theirs):
        hand = claim_one(start(plan(adder("a")), owner=owner))
        hand.attempt(passed=False)

    for model, path in (
        (AtomRun, "execution"),
        (Attempt, "execution"),
        (Call, "execution"),
        (Issue, "attempt__execution"),
    ):
        owners = set(model.objects.visible_to(mine).values_list(f"{path}__owner", flat=True))
        assert owners == {mine.pk}


def test_an_execution_takes_owner_and_team_of_who_starts_and_what_is_started() -> None:
    ada = User.objects.create_user("ada")
    team = Group.objects.create(name="team")
    first = start(plan(adder("a")), owner=ada)
    first.masterplan.team = team
    first.masterplan.save()
    second = start_execution(masterplan=first.masterplan, actor=ada)

    assert (second.owner, second.team) == (ada, team)
