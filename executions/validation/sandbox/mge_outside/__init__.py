"""The supervisor of the sandbox: a process of its own beside the product's, which knows neither its code nor its
environment. Standard library only."""
