"""What Headwater costs, as ratios in one run."""
