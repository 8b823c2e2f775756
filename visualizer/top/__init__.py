"""`headwater top`: a fleet, live in a terminal."""
