"""Mail to other hosts: where they are, what their TLS has to prove, and the connections to them."""
