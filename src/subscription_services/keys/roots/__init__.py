"""Where the root key can be: a file, a PKCS#11 token, AWS KMS, or Transit of Vault and OpenBao.

A file's root derives everything itself. The others wrap and unwrap where the key is, so that it is never here; the
store's own key is then random and kept wrapped beside the store.
"""
