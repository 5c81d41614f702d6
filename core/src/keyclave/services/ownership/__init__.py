"""Who works on a change, while it lasts and after a crash."""
