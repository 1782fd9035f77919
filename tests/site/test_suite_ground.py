"""The suite stands on ground of its own, whatever the caller's environment holds."""

from __future__ import annotations

from django.conf import settings

from tests.ground import SCRATCH


def test_the_settings_were_read_after_the_environment_was_cleaned() -> None:
    assert SCRATCH in settings.MGE_DATA_DIR.parents
    assert settings.ANTHROPIC_API_KEY == settings.ANTHROPIC_BASE_URL == settings.MGE_MODEL == ""
