"""Addresses of the pages."""

from django.urls import path

from executions.dashboard import (
    atom_page,
    execution_list,
    execution_page,
    forking,
    gates,
    masterplan_pages,
    mending,
    project_download,
    steering,
)

app_name = "dashboard"
urlpatterns = [
    path("", execution_list.execution_list, name="execution_list"),
    path("executions/<uuid:execution_id>/", execution_page.execution_page, name="execution"),
    path("executions/<uuid:execution_id>/events/", execution_page.event_page, name="events"),
    path("executions/<uuid:execution_id>/project.zip", project_download.project_zip, name="project"),
    path("executions/<uuid:execution_id>/confirm-cancel/", steering.confirm_cancel, name="confirm_cancel"),
    path("executions/<uuid:execution_id>/approvals/", mending.approvals, name="approvals"),
    path("executions/<uuid:execution_id>/gates/", gates.gates, name="gates"),
    path("executions/<uuid:execution_id>/judge/", gates.judge, name="judge"),
    path("executions/<uuid:execution_id>/approve/", mending.approve_it, name="approve"),
    path("executions/<uuid:execution_id>/retry/", mending.retry, name="retry"),
    path("executions/<uuid:execution_id>/rollback/", mending.rollback, name="rollback"),
    path("executions/<uuid:execution_id>/fork/", forking.fork, name="fork"),
    path("executions/<uuid:execution_id>/<slug:verb>/", steering.steer, name="steer"),
    path("executions/<uuid:execution_id>/atoms/<str:part>/", atom_page.atom_page, name="atom"),
    path("executions/<uuid:execution_id>/atoms/<str:part>/code/", mending.supply, name="supply_code"),
    path("attempts/<uuid:attempt_id>/code.txt", atom_page.raw_code, name="raw_code"),
    path("masterplans/", masterplan_pages.masterplan_list, name="masterplan_list"),
    path("masterplans/new/", masterplan_pages.new_masterplan, name="new_masterplan"),
    path("masterplans/<uuid:masterplan_id>/", masterplan_pages.masterplan_page, name="masterplan"),
    path("masterplans/<uuid:masterplan_id>/start/", masterplan_pages.start, name="start"),
    path(
        "masterplans/<uuid:masterplan_id>/atoms/<int:position>/",
        masterplan_pages.atom_of_masterplan,
        name="masterplan_atom",
    ),
]
