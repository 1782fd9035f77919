"""The REST interface: routes, shapes, who asks, how much is too much, what errors look like.

What requests do is done by `executions.services`; pages and sockets are elsewhere."""
