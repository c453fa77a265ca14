"""Monitoring and logging: complete, append-only, tamper-evident audit log that outsiders can verify."""
