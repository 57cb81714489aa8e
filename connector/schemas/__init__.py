"""What the HTTP API says, version 1. The extension's ``types.ts`` is generated from these."""
