"""Callbacks: signed POSTs about a tenant's generations to its servers. Independent of transport and database."""
