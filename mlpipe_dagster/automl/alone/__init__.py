"""What lies beside a stored model so that it predicts without mlpipe: a program, and the code its pipeline needs."""
