"""From an operator to a program: plans, recognition of library calls, one module for each backend."""
