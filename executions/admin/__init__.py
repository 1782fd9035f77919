"""The Django admin: every stored noun readable, searchable, filterable; evidence is never edited or deleted here.

Actions call services; pages for people who run executions every day live in the dashboard."""

from executions.admin import attempts, cached_answers, events, executions, masterplans, nodes

__all__ = ["attempts", "cached_answers", "events", "executions", "masterplans", "nodes"]
