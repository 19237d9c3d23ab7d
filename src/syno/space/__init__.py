"""What operators there are for a question, and how to get to them."""
