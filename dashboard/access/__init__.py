"""Who may see the dashboard: sessions, wrong tokens, and the headers that keep a browser safe."""
