"""Parts of a .tflite file as TensorFlow operations, for a GPU. Only who asks for this engine imports TensorFlow."""
