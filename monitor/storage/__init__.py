"""Everything kept in PostgreSQL."""
