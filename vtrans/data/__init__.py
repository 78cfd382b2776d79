"""Tokenised data of the kinds that stages train on."""
