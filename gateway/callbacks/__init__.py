"""Webhooks to callers: what they ask for, and the courier that brings it. Knows no transport and no database."""
