"""PyTorch twins of terrane's networks: same layers, same names, same numbers. Used by the parity tests and by the
step benchmark, never by the program itself."""
