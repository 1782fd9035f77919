"""ASGI entry point; server-neutral: pages by Django, sockets by the live feed."""

import os

from channels.routing import ProtocolTypeRouter  # type: ignore[import-untyped]
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mge_site.settings")
# Before the feed is imported: it needs the models.
pages = get_asgi_application()

from executions.live.routing import websocket_application  # noqa: E402

application = ProtocolTypeRouter({"http": pages, "websocket": websocket_application})
