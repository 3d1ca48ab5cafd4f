"""Sends callbacks over HTTP: validates URLs and addresses, and makes the POST of an attempt."""
