"""What is installed: locked with its hashes, audited, and written down in a bill of materials."""
