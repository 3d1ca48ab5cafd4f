"""What tenants, API keys and labels may use, what they have used, and the prices that budgets reserve."""
