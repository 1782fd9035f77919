"""Programs that want to get out or to pass without being right, and a witness outside that sees whether they do.
`program` says what a program is, `programs/` holds them by class, `trial` runs them, `environments` chooses as whom."""
