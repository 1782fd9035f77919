"""What all views of the interface share: whose execution it is, who may act, what may be asked."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterable
from typing import Any, TypeVar, cast

from django.contrib.auth.models import User
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from executions.api.errors import Refusal
from executions.models import AtomRun, Execution, Masterplan
from executions.permissions import Right, may
from executions.services.errors import NotFound

UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)

S = TypeVar("S", bound="Serializer[Any]")


class OneRepresentation(BaseContentNegotiation):
    """Each route has one kind of answer; what the request would accept is not asked, so nobody gets a 406."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        kind = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == kind), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class ApiView(APIView):
    """Base of our views; `original` says whether it is one of the nine routes that others' clients know."""

    original = False
    parameters: Collection[str] = ()
    """Names that may stand in the query string."""

    @property
    def user(self) -> User:
        """Whoever asks; permissions have refused the anonymous."""
        return cast(User, self.request.user)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not self.original and hasattr(self, (request.method or "").lower()):
            self._check_parameters(request)

    def _check_parameters(self, request: Request) -> None:
        unknown = sorted(set(request.query_params) - set(self.parameters))
        if unknown:
            raise ValidationError(dict.fromkeys(unknown, "is no parameter of this route"))
        empty = [name for name, value in request.query_params.items() if not value and name != "search"]
        if empty:
            raise ValidationError(dict.fromkeys(empty, "must not be empty"))

    def demand(self, right: Right) -> None:
        """Raises PermissionDenied when the user's roles do not include this right."""
        if not may(self.user, right):
            raise PermissionDenied(f"your role does not allow to {right.value}")

    def find_execution(self, text: str) -> Execution:
        """Raises Refusal (400) when `text` is no UUID, NotFound when the user sees no such execution."""
        found = (
            Execution.objects.visible_to(self.user)
            .select_related("masterplan")
            .filter(pk=uuid_of(text))
            .first()
        )
        if found is None:
            raise NotFound(f"there is no execution {text}")
        execution: Execution = found
        return execution

    def find_masterplan(self, identifier: uuid.UUID) -> Masterplan:
        found = Masterplan.objects.visible_to(self.user).filter(pk=identifier).first()
        if found is None:
            raise NotFound(f"there is no masterplan {identifier}")
        masterplan: Masterplan = found
        return masterplan

    def find_atom(self, execution: Execution, text: str) -> AtomRun:
        """An atom of the execution by its key or by the UUID of its row here."""
        runs = AtomRun.objects.filter(execution=execution).select_related("accepted")
        found = None if "\0" in text else runs.filter(key=text).first()
        if found is None and UUID_TEXT.fullmatch(text):
            found = runs.filter(pk=uuid.UUID(text)).first()
        if found is None:
            raise NotFound("there is no such atom in this execution")
        run: AtomRun = found
        return run

    def read(self, shape: type[S]) -> S:
        """The request's body in this shape, checked."""
        serializer = shape(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return serializer


def uuid_of(text: str) -> uuid.UUID:
    if not UUID_TEXT.fullmatch(text):
        raise Refusal(400, "malformed_id", "the id is not a UUID")
    return uuid.UUID(text)
