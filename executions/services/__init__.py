"""What people can do: one module per noun or verb, the only writers of commands.

Edges translate and call one function here; the engine does the work."""
