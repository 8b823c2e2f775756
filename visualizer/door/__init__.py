"""The site's door: who looks, how that is proven, and what they may do."""
