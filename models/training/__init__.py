"""Training and conversion. Imports TensorFlow: never needed on a device or in a worker."""
