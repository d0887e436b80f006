"""Which request goes upstream when, and the limits that are found out from refusals."""
