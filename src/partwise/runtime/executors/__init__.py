"""Executors: dispatch a package's tasks, here or in other processes."""
