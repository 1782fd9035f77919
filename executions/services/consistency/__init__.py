"""Whether the stored data keeps the invariants: one module for each noun that is checked, all by reading only.

Repairing does not live here: what is found is told, and a person decides.
"""

from executions.services.consistency.check import check_all, check_database, check_execution
from executions.services.consistency.inconsistency import Inconsistency

__all__ = ["Inconsistency", "check_all", "check_database", "check_execution"]
