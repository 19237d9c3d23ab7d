"""The language: sizes, coordinates, operators, formulas and what they mean."""
