"""The three pages and what is around them: layout only."""
