"""Recorded responses of Higgsfield, mutations of them, and a search for their values in what callers read."""
