"""The domain name system, as far as mail needs it: a resolver, its cache, and the answers it gives."""
