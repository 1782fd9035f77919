"""Judges an answer: text gate, parse and contract, tests really run in the sandbox, verdict.
Knows no Django, no models and no other room; values come in as arguments, a Verdict goes out."""
