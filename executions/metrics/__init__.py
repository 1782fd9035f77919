"""`/metrics`: what is read from the database, how it is named for Prometheus, who may see it, and the watch over HTTP and
queries. What is counted, and when, is the engine's business (`engine/tallies.py`)."""
