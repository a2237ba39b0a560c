"""Reading without changing: status, history and logs."""
