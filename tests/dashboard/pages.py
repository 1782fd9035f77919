"""What a test asks of a page: its text as a reader sees it, and whether anything in it could run."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from django.http import HttpResponse


class Page(HTMLParser):
    """A page taken apart as a browser does."""

    def __init__(self, response: HttpResponse | Any) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.dangers: list[str] = []
        self._texts: list[str] = []
        self._script_type: str | None = None
        self.feed(response.content.decode())

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.tags.append((tag, attributes))
        if tag == "script":
            self._script_type = attributes.get("type", "")
            if "src" not in attributes and self._script_type != "application/json":
                self.dangers.append("a script inside the page")
        if tag in ("style", "iframe", "object", "embed", "base"):
            self.dangers.append(f"<{tag}>")
        self.dangers += [
            f"{name} on <{tag}>" for name in attributes if name == "style" or name.startswith("on")
        ]
        self.dangers += [
            f"{name} on <{tag}>: {attributes[name]}"
            for name in ("href", "src", "action")
            if attributes.get(name, "").lower().strip().startswith(("javascript:", "data:", "http"))
        ]

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._script_type = None

    def handle_data(self, data: str) -> None:
        if self._script_type is None:
            self._texts.append(data)

    def addresses(self, start: str) -> list[str]:
        """Targets of links that begin like this."""
        return [one["href"] for tag, one in self.tags if tag == "a" and one.get("href", "").startswith(start)]

    def tags_of(self, name: str) -> list[dict[str, str]]:
        """Attributes of the elements of this name."""
        return [one for tag, one in self.tags if tag == name]

    def find(self, **wanted: str) -> list[dict[str, str]]:
        """Attributes of the elements that have these; underscores stand for hyphens."""
        asked = {name.replace("_", "-"): value for name, value in wanted.items()}
        return [one for _, one in self.tags if all(one.get(name) == value for name, value in asked.items())]
