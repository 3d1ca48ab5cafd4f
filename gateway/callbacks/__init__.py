"""Webhooks to callers: what they ask for, and the dispatcher that brings it. Knows no transport and no database."""
