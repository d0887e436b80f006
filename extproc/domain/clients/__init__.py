"""Who may use the proxy, and what each has used."""
