"""The ledger's frozen values, one file per noun. They know nothing of SQL, HTTP or providers."""
