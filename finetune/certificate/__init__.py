"""What the parity certificate checks, a file for each kind of promise, and the pair of models it checks them on."""
