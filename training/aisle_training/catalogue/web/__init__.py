"""Asking strangers' servers for a file: politely, within bounds, and only where a stranger may send us."""
