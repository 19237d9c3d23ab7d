"""From an operator to a program: plans, recognized library calls, a module for each backend."""
