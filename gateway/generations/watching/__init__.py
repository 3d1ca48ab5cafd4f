"""Serves the changes of generations to watchers, with forecasts."""
