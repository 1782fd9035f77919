"""Checks that read code without running it, by programs of their own: ruff for lint, ty for types. What they find and how
much it weighs lives here; what the code does when it runs is the sandbox's business."""
