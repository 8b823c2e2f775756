"""Early exits for models that have none: small branches, trained with NumPy on what a network computes anyway."""
