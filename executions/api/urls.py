"""Routes of the interface. Each answers with and without a slash at its end, and never redirects: clients lose bodies by that."""

from __future__ import annotations

from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request

from executions.api import events, executions, masterplans, nodes, original, repair
from executions.api.documentation_pages import DocsView, SchemaView
from executions.api.views import ApiView
from executions.services.errors import NotFound


@extend_schema(exclude=True)
class NoSuchRoute(ApiView):
    """Whatever else is asked for below `/api/`."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        raise NotFound("there is no such route; /api/docs/ shows those that there are")


def _both(route: str, view: type[ApiView], name: str) -> list[URLPattern]:
    # With the slash first: an atom's key may hold slashes, and would take it for a part of itself.
    return [path(f"{route}/", view.as_view(), name=name), path(route, view.as_view())]


ORIGINAL = (
    *_both("v2/execution/start", original.Start, "original-start"),
    # Before the route of an id, which would take the word for one.
    *_both("v2/execution/health", original.Health, "original-health"),
    *_both("v2/execution/<str:execution_id>", original.Status, "original-status"),
    *_both("v2/execution/<str:execution_id>/progress", original.Progress, "original-progress"),
    *_both("v2/execution/<str:execution_id>/metrics", original.Metrics, "original-metrics"),
    *_both("v2/execution/<str:execution_id>/pause", original.Pause, "original-pause"),
    *_both("v2/execution/<str:execution_id>/resume", original.Resume, "original-resume"),
    *_both("v2/execution/<str:execution_id>/waves/<str:wave_id>", original.WaveStatus, "original-wave"),
    *_both("v2/execution/<str:execution_id>/atoms/<path:atom_id>", original.AtomStatus, "original-atom"),
)
OWN = (
    *_both("v2/masterplans", masterplans.Masterplans, "masterplans"),
    *_both("v2/masterplans/<str:masterplan_id>", masterplans.OneMasterplan, "masterplan"),
    *_both("v2/masterplans/<str:masterplan_id>/atoms", masterplans.MasterplanAtoms, "masterplan-atoms"),
    *_both("v2/nodes", nodes.Nodes, "nodes"),
    *_both("v2/executions", executions.Executions, "executions"),
    *_both("v2/executions/<str:execution_id>", executions.OneExecution, "execution"),
    *_both("v2/executions/<str:execution_id>/waves", executions.Waves, "execution-waves"),
    *_both("v2/executions/<str:execution_id>/gates", executions.Gates, "execution-gates"),
    *_both("v2/executions/<str:execution_id>/atoms", executions.Atoms, "execution-atoms"),
    # Before the route of one atom, which would take the last word for a part of its key.
    *_both("v2/executions/<str:execution_id>/atoms/<path:atom>/code", repair.SuppliedCode, "execution-code"),
    *_both("v2/executions/<str:execution_id>/atoms/<path:atom>", executions.OneAtom, "execution-atom"),
    *_both("v2/executions/<str:execution_id>/events", events.Events, "execution-events"),
    *_both("v2/executions/<str:execution_id>/export", executions.Export, "execution-export"),
    *_both("v2/executions/<str:execution_id>/pause", executions.Pause, "execution-pause"),
    *_both("v2/executions/<str:execution_id>/resume", executions.Resume, "execution-resume"),
    *_both("v2/executions/<str:execution_id>/cancel", executions.Cancel, "execution-cancel"),
    *_both("v2/executions/<str:execution_id>/retry", repair.Retry, "execution-retry"),
    *_both("v2/executions/<str:execution_id>/retry/preview", repair.RetryPreview, "execution-retry-preview"),
    *_both("v2/executions/<str:execution_id>/rollback", repair.Rollback, "execution-rollback"),
    *_both("v2/executions/<str:execution_id>/fork", repair.Fork, "execution-fork"),
    *_both("v2/executions/<str:execution_id>/approve", repair.Approve, "execution-approve"),
    *_both("v2/executions/<str:execution_id>/judge", repair.Judge, "execution-judge"),
)
urlpatterns = [
    path("schema/", SchemaView.as_view(), name="schema"),
    path("docs/", DocsView.as_view(), name="docs"),
    *ORIGINAL,
    *OWN,
    path("", NoSuchRoute.as_view()),
    path("<path:rest>", NoSuchRoute.as_view()),
]
app_name = "api"
