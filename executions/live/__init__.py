"""The live feed: what happens in executions, pushed to sockets. Reads events by cursor and writes nothing.

Pages, REST answers and commands do not live here; they read the same events through `executions.live.feed`.
"""
