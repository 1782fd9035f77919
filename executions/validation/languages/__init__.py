"""What can be said of answers in languages whose tests are not run: that they parse, and bind what was asked for."""
