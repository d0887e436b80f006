"""How fast the proxy is, and what each part of it costs, beside a bare Envoy and a do-nothing processor."""
