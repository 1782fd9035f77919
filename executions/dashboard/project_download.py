"""The generated project as a zip archive."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect

from executions.dashboard.links import short_id
from executions.dashboard.signed_in import signed_in
from executions.models import Execution
from executions.planning.delivery import ExportRefused, zip_export
from executions.services.export import export_of


@signed_in
def project_zip(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponseBase:
    """What has been accepted so far, assembled, with its tests."""
    rows: QuerySet[Execution] = Execution.objects.visible_to(request.user)
    execution = get_object_or_404(rows.select_related("masterplan"), pk=execution_id)
    try:
        archive = zip_export(export_of([execution.pk]))
    except ExportRefused as error:
        messages.error(request, f"The project cannot be packed: {error}")
        return redirect("dashboard:execution", execution.pk)
    response = HttpResponse(archive, content_type="application/zip")
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Disposition"] = (
        f'attachment; filename="{execution.masterplan.slug}-{short_id(execution.pk)}.zip"'
    )
    return response
