"""Chaos: the product as its users run it, real processes on real databases, and faults at seeded moments.

Run it as `python -m chaos`; `docs/chaos.md` says what it does. It looks at the product from outside (commands, signals,
SQL, the scripted model's own count) and imports nothing of it.
"""
