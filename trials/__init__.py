"""Trials of the validation, run by hand: known answers, hostile programs, thousands in a row (`docs/trials.md`).

They call the validation as the engine does and look at what it starts from outside. Nothing in the product imports them.
"""
