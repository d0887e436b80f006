"""Starting the proxy: what is checked, the programs that run, and what a person is told."""
