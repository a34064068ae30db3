"""Partwise."""
