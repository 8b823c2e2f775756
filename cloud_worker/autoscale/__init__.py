"""As many workers as the waiting time needs, where nothing else starts and stops containers."""
