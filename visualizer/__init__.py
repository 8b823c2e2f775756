"""The site: a live map and the time of every stage."""
