"""The engine: claims, ledger, wave executor, retry orchestrator, reconciler.

Writes state; knows nothing of HTTP, pages or commands."""
