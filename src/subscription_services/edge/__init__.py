"""Network edge: HTTPS only (TLS 1.3, HSTS), security headers, protection against forged and oversized requests."""
