"""One page about a study, and one operator explained."""
