"""What runs inside the sandbox: standard library only, nothing of the product, as few imports as possible.
It is started by `monitor.main` in an interpreter of its own and must work from Python 3.11 on."""
