"""Strategies: random and tree search behind one protocol."""
