"""Processes of ours that run other processes of ours: start them, stop them, leave none behind.

Nothing of executions' state lives here."""
