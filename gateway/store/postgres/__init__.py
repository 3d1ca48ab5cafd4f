"""The store on PostgreSQL, for one gateway at a time (docs/postgresql.md)."""
