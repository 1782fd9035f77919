"""Levels 3 and 4: an assembled project is imported module by module, and the plan's own tests are run against it.

What a project is made of, and when it is judged, is the engine's business.
"""
