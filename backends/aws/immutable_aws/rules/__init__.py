"""Listeners of load balancers and what is behind them: for both kinds of switch."""
