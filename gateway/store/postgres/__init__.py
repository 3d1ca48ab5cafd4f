"""The store on PostgreSQL: many gateways read it, and one at a time writes it (docs/postgresql.md)."""
