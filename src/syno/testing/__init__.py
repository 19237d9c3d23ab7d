"""What tests of Syno, and of what is built on it, share."""
