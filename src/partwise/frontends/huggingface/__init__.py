"""Hugging Face folders: a config, with or without weights, as a source."""
