"""Algorithms, encodings and checks, all computed by `cryptography`. No primitive is written here."""
