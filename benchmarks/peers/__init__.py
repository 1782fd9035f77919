"""Other tools on the same work: LangGraph, Procrastinate, DBOS, Celery, django-q2, each in a process of its own.
The product's own measurements live in `benchmarks`; nothing here is installed into the product's environment."""
