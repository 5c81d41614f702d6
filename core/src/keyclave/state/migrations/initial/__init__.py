"""What revision 0001 makes. Frozen: a later change is a later revision."""
