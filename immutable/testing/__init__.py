"""What backend authors and users test with."""
