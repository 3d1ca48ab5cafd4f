"""Plans when generations are polled, limits the rate of polls, and judges a 404."""
