"""A PostgreSQL server for the replicas behind the load balancer."""

from tests.contract.store.conftest import database, emptied, postgres

__all__ = ["database", "emptied", "postgres"]
