"""Measurements of the product as its users have it: real commands, real databases, the scripted model at the wire.

Not tests: nothing here passes or fails. The figures that were found are in docs/performance.md.
"""
