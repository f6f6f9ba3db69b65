"""Settings: one TOML file, checked at start. Every package declares its own struct beside its code; here is
only how a file becomes structs (`load`, `bind`) and how the structs become documents (`docgen`)."""
