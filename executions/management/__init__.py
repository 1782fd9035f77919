"""Commands and what only they need: the terminal's display, the embedded database's schema."""
