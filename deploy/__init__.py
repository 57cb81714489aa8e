"""How the services are started on one machine, and the demo."""
