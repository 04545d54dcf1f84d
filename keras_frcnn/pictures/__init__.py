"""Drawings on photographs, and charts."""
