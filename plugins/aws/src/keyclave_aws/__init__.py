"""Keyclave backend `aws`: keys in AWS Key Management Service."""
