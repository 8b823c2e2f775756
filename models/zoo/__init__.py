"""Keras definitions of networks. Imports Keras: for training and conversion only."""
