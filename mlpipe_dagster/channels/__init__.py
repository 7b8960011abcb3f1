"""Notification channels outside the platform: what they are told, how it is sent, and what a user's may reach."""
